"""The manifests are whole, and say nothing that the code does not know."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import jsonschema
import kubernetes_validate
import pytest
import redis
import typer
import yaml

from artdream.cli.main import app
from shared.jobs.job import Lane
from shared.jobs.queue import create_celery_app
from shared.monitoring.exporter import CONSUMING_PATH
from shared.monitoring.queue_metrics import QueueMetricsCollector
from shared.secret_files import _STORE_VARIABLE_PREFIXES
from shared.settings import ENV_PREFIX, Settings
from tests.deploy.keda import SCALED_OBJECT
from tests.deploy.kustomize import Manifest, build, list_containers
from tests.servers import is_listening, wait_until
from tests.stack import free_port
from worker.consumer.shutdown import RELEASE_TIMEOUT_SECONDS

MANIFESTS_FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("base", "gpu")

#: Seconds that Celery gives a pool process to become warm.
WARM_UP_TIMEOUT_SECONDS = create_celery_app(
    Settings(broker_url="redis://127.0.0.1", _env_file=None)
).conf.worker_proc_alive_timeout

#: Variables that others than ArtDream read.
FOREIGN_VARIABLES = {"HOME", "KERAS_BACKEND"}


def filter_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in manifests if one["kind"] == kind]


def find_manifest(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(one for one in filter_kind(manifests, kind) if one["metadata"]["name"] == name)


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(MANIFESTS_FOLDER / request.param)


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in filter_kind(manifests, "Deployment")}


def pod_environment(manifests: list[Manifest], pod: Manifest) -> dict[str, str]:
    """Return the variables of a pod's container."""
    [container] = pod["containers"]
    found: dict[str, str] = {}
    for source in container["envFrom"]:
        found |= find_manifest(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_every_manifest_is_one_that_kubernetes_takes(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] == "ScaledObject":
            jsonschema.validate(manifest, SCALED_OBJECT)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_nobody_knows_is_found(manifests: list[Manifest]) -> None:
    """The guard against schemas that let everything through."""
    deployment, scaled = filter_kind(manifests, "Deployment")[0], filter_kind(manifests, "ScaledObject")[0]
    list_containers(deployment)[0]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.30", strict=True)
    scaled["spec"]["minReplicas"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled, SCALED_OBJECT)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kustomize_itself_makes_the_same_of_them(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("needs kubectl: without it what kustomize makes of the folders is worked out by tests/deploy")
    ran = subprocess.run(
        [kubectl, "kustomize", str(MANIFESTS_FOLDER / overlay)], capture_output=True, text=True, check=True
    )
    theirs = sorted(yaml.safe_load_all(ran.stdout), key=_sort_key)
    assert theirs == sorted(build(MANIFESTS_FOLDER / overlay), key=_sort_key)


def _sort_key(manifest: Manifest) -> str:
    return json.dumps([manifest["kind"], manifest["metadata"]["name"]])


def test_every_setting_exists_and_is_well_chosen(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests).values():
        told = pod_environment(manifests, pod)
        for name in set(told) - FOREIGN_VARIABLES:
            assert name.removeprefix(ENV_PREFIX).lower() in Settings.model_fields, name
        changed = {
            name.removeprefix(ENV_PREFIX).lower(): text for name, text in told.items() if name not in FOREIGN_VARIABLES
        }
        Settings.model_validate(changed)


def test_secrets_are_files_that_the_code_reads_and_stand_in_no_manifest(manifests: list[Manifest]) -> None:
    guide = (MANIFESTS_FOLDER / "README.md").read_text()
    wanted = dict(re.findall(r"create secret generic (\S+)((?: |\\|\n|--from-file=\S+)+)", guide))
    made = {name: re.findall(r"--from-file=(\S+)", files) for name, files in wanted.items()}
    for file in (file for files in made.values() for file in files):
        field = file.removeprefix(ENV_PREFIX.lower())
        if file == field:
            assert file.upper().startswith(_STORE_VARIABLE_PREFIXES), file
        else:
            assert field in Settings.model_fields, file
            assert Settings.is_secret(field), file
    mounted = set()
    for pod in pod_specs(manifests).values():
        volume = next(one for one in pod["volumes"] if one["name"] == "secrets")
        sources = [one["secret"]["name"] for one in volume.get("projected", {}).get("sources", [])]
        mounted |= {*sources} or {volume["secret"]["secretName"]}
        place = next(m["mountPath"] for m in pod["containers"][0]["volumeMounts"] if m["name"] == "secrets")
        assert pod_environment(manifests, pod)["ARTDREAM_SECRETS_DIR"] == place
    assert mounted == set(made)
    assert not filter_kind(manifests, "Secret")
    for pod in pod_specs(manifests).values():
        for name in pod_environment(manifests, pod):
            assert name in FOREIGN_VARIABLES or not Settings.is_secret(name.removeprefix(ENV_PREFIX).lower())


def test_secrets_are_read_as_a_cluster_lays_them_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is a link through a link to a folder, which is exchanged as a whole."""
    held = {"artdream_broker_url": "rediss://artdream:5d41402abc4b2a76@broker/0", "aws_secret_access_key": "0xfeed"}
    (tmp_path / "..2026_11_25").mkdir()
    (tmp_path / "..data").symlink_to("..2026_11_25")
    for name, text in held.items():
        (tmp_path / "..2026_11_25" / name).write_text(text + "\n")
        (tmp_path / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("ARTDREAM_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert Settings.read().configured_broker_url == held["artdream_broker_url"]
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == held["aws_secret_access_key"]


def test_a_worker_that_is_told_to_end_has_the_time_that_it_takes(manifests: list[Manifest]) -> None:
    for pod in (pod for name, pod in pod_specs(manifests).items() if "worker" in name):
        grace = float(pod_environment(manifests, pod)["ARTDREAM_GRACE_SECONDS"])
        assert (
            grace + RELEASE_TIMEOUT_SECONDS
            < pod["terminationGracePeriodSeconds"]
            <= grace + RELEASE_TIMEOUT_SECONDS + 10
        )


def test_each_lane_has_its_workers_and_only_those_of_batches_go_to_sleep(manifests: list[Manifest]) -> None:
    command = typer.main.get_command(app)
    for lane in Lane:
        name = f"artdream-worker-{lane}"
        [container] = pod_specs(manifests)[name]["containers"]
        assert container["command"] == ["artdream", "worker", "--lane", lane]
        worker = command.get_command(None, "worker")  # type: ignore[attr-defined, arg-type]
        worker.make_context("worker", container["command"][2:])
        spec = find_manifest(manifests, "ScaledObject", name)["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        assert spec["minReplicaCount"] == (2 if lane is Lane.LIVE else 0)
        assert find_manifest(manifests, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
        assert "replicas" not in find_manifest(manifests, "Deployment", name)["spec"], "the number is KEDA's"


def test_workers_that_dream_are_counted_like_those_that_are_waited_for(
    manifests: list[Manifest], settings: Settings, client: redis.Redis
) -> None:
    """Where what waits alone is counted, or two jobs ask for one worker, scaling down ends workers that dream."""
    told = {s.name: s.labels.keys() for family in QueueMetricsCollector(settings).collect() for s in family.samples}
    for lane in Lane:
        name = f"artdream-worker-{lane}"
        [trigger] = find_manifest(manifests, "ScaledObject", name)["spec"]["triggers"]
        query = re.fullmatch(r'sum\(max by \((\w+)\) \((\w+)\{lane="(\w+)"\}\)\)', trigger["metadata"]["query"])
        assert query, "whatever narrows the query further would leave out what is in flight"
        by, metric, asked = query.groups()
        assert asked == lane
        assert told[metric] == {"lane", by}
        [container] = pod_specs(manifests)[name]["containers"]
        assert "--concurrency" not in container["command"]
        assert float(trigger["metadata"]["threshold"]) == 1
        assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_while_no_worker_is_there_somebody_tells_the_metrics(
    manifests: list[Manifest], settings: Settings, client: redis.Redis
) -> None:
    display = pod_specs(manifests)["artdream-display"]
    assert find_manifest(manifests, "Deployment", "artdream-display")["spec"]["replicas"] == 1
    assert int(pod_environment(manifests, display)["ARTDREAM_DISPLAY_METRICS_PORT"])


def test_ports_are_those_that_the_settings_open_and_the_network_lets_through(manifests: list[Manifest]) -> None:
    opened: dict[str, dict[str, int]] = {}
    for name, pod in pod_specs(manifests).items():
        told, [container] = pod_environment(manifests, pod), pod["containers"]
        part = "display" if "display" in name else "worker"
        ports = opened[name] = {one["name"]: one["containerPort"] for one in container["ports"]}
        assert ports["metrics"] == int(told[f"ARTDREAM_{part.upper()}_METRICS_PORT"])
        assert told["ARTDREAM_METRICS_HOST"] == "0.0.0.0"
        notes = find_manifest(manifests, "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        assert notes["prometheus.io/port"] == str(ports["metrics"])
        if part == "display":
            assert ports["wall"] == int(told["ARTDREAM_PORT"])
            assert told["ARTDREAM_HOST"] == "0.0.0.0"
        for probe in (one for field, one in container.items() if field.endswith("Probe")):
            assert probe["httpGet"]["port"] in ports
    [service] = filter_kind(manifests, "Service")
    assert [one["targetPort"] for one in service["spec"]["ports"]] == ["wall"]
    for policy in filter_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                assert any(port["port"] in ports for ports in opened.values())
                assert port["port"] != "metrics" or rule["from"], "the metrics are not for everybody"


def test_selectors_find_what_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
        for one in filter_kind(manifests, "Deployment")
    }

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    for deployment in filter_kind(manifests, "Deployment"):
        assert found(deployment["spec"]["selector"]["matchLabels"]) == {deployment["metadata"]["name"]}
    for budget in filter_kind(manifests, "PodDisruptionBudget"):
        assert found(budget["spec"]["selector"]["matchLabels"]) == {budget["metadata"]["name"]}
    for service in filter_kind(manifests, "Service"):
        assert found(service["spec"]["selector"]) == {service["metadata"]["name"]}
    everything, display = filter_kind(manifests, "NetworkPolicy")
    assert everything["spec"]["podSelector"] == {}
    assert found(display["spec"]["podSelector"]["matchLabels"]) == {"artdream-display"}


def test_pods_may_do_nothing_but_their_work(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        writable = {one["name"] for one in pod["volumes"]} - {"secrets"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {one["name"]: one for one in container["volumeMounts"]}
            assert mounts["secrets"]["readOnly"]
            places = {mounts[name]["mountPath"] for name in writable}
            told = pod_environment(manifests, pod)
            assert {told["ARTDREAM_DATA"], told["HOME"], "/tmp"} == places, "what is written lies on a volume"


def test_workers_are_asked_whether_they_consume(manifests: list[Manifest]) -> None:
    """tests/worker/consumer/test_lanes.py asks a real one."""
    for name in ("artdream-worker-live", "artdream-worker-batch"):
        [container] = pod_specs(manifests)[name]["containers"]
        probes = {field: one for field, one in container.items() if field.endswith("Probe")}
        assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
        assert {one["httpGet"]["path"] for one in probes.values()} == {CONSUMING_PATH}
        patience = {field: one["periodSeconds"] * one["failureThreshold"] for field, one in probes.items()}
        assert patience["startupProbe"] >= WARM_UP_TIMEOUT_SECONDS
        assert patience["livenessProbe"] >= WARM_UP_TIMEOUT_SECONDS, "it may start itself anew"


def test_the_display_is_asked_where_a_real_one_answers(manifests: list[Manifest], settings: Settings) -> None:
    [container] = pod_specs(manifests)["artdream-display"]["containers"]
    port = free_port()
    changed = settings.model_copy(update={"port": port}).to_environment()
    command = [sys.executable, "-m", *container["command"]]
    process = subprocess.Popen(command, env={**os.environ, **changed}, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "the display listens")
        for probe in (one for field, one in container.items() if field.endswith("Probe")):
            with urlopen(f"http://127.0.0.1:{port}{probe['httpGet']['path']}", timeout=5) as answer:
                assert answer.read() == b"ok", "Streamlit answers 200 with its page to whatever it does not know"
    finally:
        process.terminate()
        process.wait(30)


def test_gpus_are_requested_only_in_the_gpu_overlay() -> None:
    for overlay, cards in (("base", None), ("gpu", 1)):
        for name, pod in pod_specs(build(MANIFESTS_FOLDER / overlay)).items():
            limits = pod["containers"][0]["resources"]["limits"]
            assert limits.get("nvidia.com/gpu") == (cards if "worker" in name else None)
