"""The Kubernetes manifests are valid and agree with the code."""

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
from display.web.sse import KEEPALIVE_SECONDS
from shared.jobs.job import Lane
from shared.jobs.queue import create_celery_app
from shared.monitoring.exporter import CONSUMING_PATH
from shared.monitoring.queue_metrics import QueueMetricsCollector
from shared.secret_files import _STORE_VARIABLE_PREFIXES
from shared.settings import ENV_PREFIX, Settings
from tests.deploy.keda import SCALED_OBJECT
from tests.deploy.kustomize import Manifest, build, list_containers
from tests.servers import is_listening
from tests.stack import free_port
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until
from worker.consumer.shutdown import RELEASE_TIMEOUT_SECONDS

MANIFESTS_FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("base", "gpu")

#: Folders that an operator's own one may name beside an overlay.
OPTIONS = ("ingress", "webhooks")

#: Seconds that Celery waits for a pool process to become ready.
WARM_UP_TIMEOUT_SECONDS = create_celery_app(
    Settings(broker_url="redis://127.0.0.1", _env_file=None)
).conf.worker_proc_alive_timeout

#: Variables that are not ArtDream's.
FOREIGN_VARIABLES = {"AWS_REGION", "HOME", "KERAS_BACKEND"}


def filter_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def find_manifest(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(manifest for manifest in filter_kind(manifests, kind) if manifest["metadata"]["name"] == name)


@pytest.fixture(params=[("base",), ("gpu", "webhooks")], ids="+".join)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return [manifest for folder in request.param for manifest in build(MANIFESTS_FOLDER / folder)]


@pytest.fixture
def webhooks_pod() -> Manifest:
    """The pod of the deliverer of webhooks."""
    [deployment] = build(MANIFESTS_FOLDER / "webhooks")
    pod: Manifest = deployment["spec"]["template"]["spec"]
    return pod


def pod_specs(manifests: list[Manifest]) -> dict[str, Manifest]:
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in filter_kind(manifests, "Deployment")
    }


def pod_environment(manifests: list[Manifest], pod: Manifest) -> dict[str, str]:
    """Return the variables of a pod's container."""
    [container] = pod["containers"]
    variables: dict[str, str] = {}
    for source in container["envFrom"]:
        variables |= find_manifest(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    return variables | {variable["name"]: variable["value"] for variable in container["env"]}


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_every_manifest_is_one_that_kubernetes_takes(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] == "ScaledObject":
            jsonschema.validate(manifest, SCALED_OBJECT)
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_nobody_knows_is_found(manifests: list[Manifest]) -> None:
    """Guards against schemas that accept everything."""
    deployment, scaled = filter_kind(manifests, "Deployment")[0], filter_kind(manifests, "ScaledObject")[0]
    list_containers(deployment)[0]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.30", strict=True)
    scaled["spec"]["minReplicas"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled, SCALED_OBJECT)


@pytest.mark.parametrize("overlay", [*OVERLAYS, *OPTIONS])
def test_kustomize_itself_makes_the_same_of_them(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        pytest.skip("needs kubectl: without it what kustomize makes of the folders is worked out by tests/deploy")
    completed = subprocess.run(
        [kubectl, "kustomize", str(MANIFESTS_FOLDER / overlay)], capture_output=True, text=True, check=True
    )
    expected = sorted(yaml.safe_load_all(completed.stdout), key=_sort_key)
    assert expected == sorted(build(MANIFESTS_FOLDER / overlay), key=_sort_key)


def _sort_key(manifest: Manifest) -> str:
    return json.dumps([manifest["kind"], manifest["metadata"]["name"]])


def test_every_setting_exists_and_is_well_chosen(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests).values():
        environment = pod_environment(manifests, pod)
        for name in set(environment) - FOREIGN_VARIABLES:
            assert name.removeprefix(ENV_PREFIX).lower() in Settings.model_fields, name
        overrides = {
            name.removeprefix(ENV_PREFIX).lower(): text
            for name, text in environment.items()
            if name not in FOREIGN_VARIABLES
        }
        Settings.model_validate(overrides)


def test_guests_send_nothing_where_no_producer_takes_it(manifests: list[Manifest]) -> None:
    """Seen failing with the default: photos piled up on the display's volume, and none was dreamt."""
    for pod in pod_specs(manifests).values():
        assert not any("watch" in container["command"] for container in pod["containers"])
        environment = pod_environment(manifests, pod)
        assert "display" not in pod["containers"][0]["command"] or environment["ARTDREAM_SEND"] == "false"


def test_secrets_are_files_that_the_code_reads_and_stand_in_no_manifest(manifests: list[Manifest]) -> None:
    guide = (MANIFESTS_FOLDER / "README.md").read_text()
    commands = dict(re.findall(r"create secret generic (\S+)((?: |\\|\n|--from-file=\S+)+)", guide))
    secrets = {name: re.findall(r"--from-file=(\S+)", files) for name, files in commands.items()}
    for file in (file for files in secrets.values() for file in files):
        field = file.removeprefix(ENV_PREFIX.lower())
        if file == field:
            assert file.upper().startswith(_STORE_VARIABLE_PREFIXES), file
        else:
            assert field in Settings.model_fields, file
            assert Settings.is_secret(field), file
    mounted = set()
    for pod in pod_specs(manifests).values():
        volume = next(volume for volume in pod["volumes"] if volume["name"] == "secrets")
        sources = [source["secret"]["name"] for source in volume.get("projected", {}).get("sources", [])]
        mounted |= {*sources} or {volume["secret"]["secretName"]}
        mount_path = next(
            mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "secrets"
        )
        assert pod_environment(manifests, pod)["ARTDREAM_SECRETS_DIR"] == mount_path
    assert mounted == set(secrets)
    assert not filter_kind(manifests, "Secret")
    for pod in pod_specs(manifests).values():
        for name in pod_environment(manifests, pod):
            assert name in FOREIGN_VARIABLES or not Settings.is_secret(name.removeprefix(ENV_PREFIX).lower())


def test_secrets_are_read_as_a_cluster_lays_them_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is a link through a link to a folder, which the cluster replaces atomically."""
    secrets = {"artdream_broker_url": "rediss://artdream:5d41402abc4b2a76@broker/0", "aws_secret_access_key": "0xfeed"}
    (tmp_path / "..2026_11_25").mkdir()
    (tmp_path / "..data").symlink_to("..2026_11_25")
    for name, text in secrets.items():
        (tmp_path / "..2026_11_25" / name).write_text(text + "\n")
        (tmp_path / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("ARTDREAM_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert Settings.read().configured_broker_url == secrets["artdream_broker_url"]
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == secrets["aws_secret_access_key"]


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
        worker = command.get_command(None, "worker")  # type: ignore[attr-defined]
        worker.make_context("worker", container["command"][2:])
        spec = find_manifest(manifests, "ScaledObject", name)["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        assert spec["minReplicaCount"] == (2 if lane is Lane.LIVE else 0)
        assert find_manifest(manifests, "PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
        assert "replicas" not in find_manifest(manifests, "Deployment", name)["spec"], "the number is KEDA's"


def test_workers_that_dream_are_counted_like_those_that_are_waited_for(
    manifests: list[Manifest], settings: Settings, client: redis.Redis
) -> None:
    """If only waiting jobs counted, or one worker were asked for per two jobs, scaling down would stop busy workers."""
    metric_labels = {
        sample.name: sample.labels.keys()
        for family in QueueMetricsCollector(settings).collect()
        for sample in family.samples
    }
    for lane in Lane:
        name = f"artdream-worker-{lane}"
        [trigger] = find_manifest(manifests, "ScaledObject", name)["spec"]["triggers"]
        query = re.fullmatch(r'sum\(max by \((\w+)\) \((\w+)\{lane="(\w+)"\}\)\)', trigger["metadata"]["query"])
        assert query, "a narrower query would leave out jobs in flight"
        grouping_label, metric, queried_lane = query.groups()
        assert queried_lane == lane
        assert metric_labels[metric] == {"lane", grouping_label}
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
    opened_ports: dict[str, dict[str, int]] = {}
    for name, pod in pod_specs(manifests).items():
        environment, [container] = pod_environment(manifests, pod), pod["containers"]
        component = name.split("-")[1]
        ports = opened_ports[name] = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["metrics"] == int(environment[f"ARTDREAM_{component.upper()}_METRICS_PORT"])
        assert environment["ARTDREAM_METRICS_HOST"] == "0.0.0.0"
        annotations = find_manifest(manifests, "Deployment", name)["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(ports["metrics"])
        if component == "display":
            assert ports["wall"] == int(environment["ARTDREAM_PORT"])
            assert environment["ARTDREAM_HOST"] == "0.0.0.0"
        for probe in (probe for field, probe in container.items() if field.endswith("Probe")):
            assert "exec" in probe or (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports
    [service] = filter_kind(manifests, "Service")
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["wall"]
    for policy in filter_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                assert any(port["port"] in ports for ports in opened_ports.values())
                assert port["port"] != "metrics" or rule["from"], "the metrics are not public"


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_the_example_of_an_ingress_lets_photos_and_walls_through(manifests: list[Manifest], version: str) -> None:
    [ingress] = build(MANIFESTS_FOLDER / "ingress")
    kubernetes_validate.validate(ingress, version, strict=True)
    [service] = filter_kind(manifests, "Service")
    assert ingress["metadata"]["namespace"] == service["metadata"]["namespace"]
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    backend = path["backend"]["service"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix"), "ArtDream is at the root of a host"
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["number"] in [port["port"] for port in service["spec"]["ports"]]
    assert [tls["hosts"] for tls in ingress["spec"]["tls"]] == [[rule["host"]]]
    annotations = ingress["metadata"]["annotations"]
    body_size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(body_size.removesuffix("m")) >= Settings.model_fields["max_file_mb"].default
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 10 * KEEPALIVE_SECONDS
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-send-timeout"]) >= 10 * KEEPALIVE_SECONDS


def test_selectors_find_what_they_are_meant_for(manifests: list[Manifest]) -> None:
    labels = {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in filter_kind(manifests, "Deployment")
    }

    def find_deployments(selector: dict[str, str]) -> set[str]:
        return {name for name, deployment_labels in labels.items() if selector.items() <= deployment_labels.items()}

    for deployment in filter_kind(manifests, "Deployment"):
        assert find_deployments(deployment["spec"]["selector"]["matchLabels"]) == {deployment["metadata"]["name"]}
    for budget in filter_kind(manifests, "PodDisruptionBudget"):
        assert find_deployments(budget["spec"]["selector"]["matchLabels"]) == {budget["metadata"]["name"]}
    for service in filter_kind(manifests, "Service"):
        assert find_deployments(service["spec"]["selector"]) == {service["metadata"]["name"]}
    default_policy, display_policy = filter_kind(manifests, "NetworkPolicy")
    assert default_policy["spec"]["podSelector"] == {}
    assert find_deployments(display_policy["spec"]["podSelector"]["matchLabels"]) == {"artdream-display"}


def test_pods_may_do_nothing_but_their_work(manifests: list[Manifest]) -> None:
    for pod in pod_specs(manifests).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        writable = {volume["name"] for volume in pod["volumes"]} - {"secrets"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounts["secrets"]["readOnly"]
            writable_paths = {mounts[name]["mountPath"] for name in writable}
            environment = pod_environment(manifests, pod)
            assert {environment["ARTDREAM_DATA"], environment["HOME"], "/tmp"} == writable_paths, (
                "every written folder is a volume"
            )


def test_each_pod_has_what_linters_of_clusters_ask_for(manifests: list[Manifest]) -> None:
    """The rules of kube-linter and Polaris that no other test holds. CPU has no limit: dreams take what is idle."""
    namespace = find_manifest(manifests, "Namespace", "artdream")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {manifest["metadata"].get("namespace") for manifest in manifests if manifest != namespace} == {"artdream"}
    [service] = filter_kind(manifests, "Service")
    for pod in pod_specs(manifests).values():
        assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & pod.keys()
        assert all(
            {"emptyDir", "secret", "projected", "persistentVolumeClaim"} & volume.keys() for volume in pod["volumes"]
        )
        [container] = pod["containers"]
        assert re.search(r":\d+\.\d+\.\d+(-gpu)?$", container["image"]), "a tag that nobody moves"
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
        resources = container["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys()
        assert "memory" in resources["limits"]
        assert "cpu" not in resources["limits"]
        names = [variable["name"] for variable in container["env"]]
        assert len(set(names)) == len(names)
        # Kubernetes hands each pod the addresses of the services in its namespace.
        service_prefix = service["metadata"]["name"].upper().replace("-", "_")
        for name in (f"{service_prefix}_SERVICE_HOST", f"{service_prefix}_SERVICE_PORT", f"{service_prefix}_PORT"):
            assert name.removeprefix(ENV_PREFIX).lower() not in Settings.model_fields


def test_a_node_that_fails_or_is_emptied_takes_one_warm_worker_of_two(manifests: list[Manifest]) -> None:
    """Seen failing: both might be on one node, and a worker that never became warm kept its node from being emptied."""
    for lane in Lane:
        name = f"artdream-worker-{lane}"
        budget = find_manifest(manifests, "PodDisruptionBudget", name)["spec"]
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        scaling = find_manifest(manifests, "ScaledObject", name)["spec"]
        assert scaling["minReplicaCount"] < scaling["maxReplicaCount"]
        deployment = find_manifest(manifests, "Deployment", name)["spec"]
        if lane is Lane.LIVE:
            assert budget["maxUnavailable"] < scaling["minReplicaCount"]
            assert deployment["template"]["spec"]["topologySpreadConstraints"] == [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": deployment["selector"],
                }
            ]


def test_a_volume_that_one_node_has_is_given_up_before_the_next_display_takes_it(manifests: list[Manifest]) -> None:
    claims = {
        manifest["metadata"]["name"]: manifest["spec"] for manifest in filter_kind(manifests, "PersistentVolumeClaim")
    }
    for deployment in filter_kind(manifests, "Deployment"):
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        for claim in (volume["persistentVolumeClaim"] for volume in volumes if "persistentVolumeClaim" in volume):
            assert claims.pop(claim["claimName"])["accessModes"] == ["ReadWriteOnce"]
            assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert not claims, "a claim that nobody uses"


def test_workers_are_asked_whether_they_consume(manifests: list[Manifest]) -> None:
    """tests/worker/consumer/test_lanes.py queries this path of a real worker."""
    for name in ("artdream-worker-live", "artdream-worker-batch"):
        [container] = pod_specs(manifests)[name]["containers"]
        probes = {field: probe for field, probe in container.items() if field.endswith("Probe")}
        assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
        assert {probe["httpGet"]["path"] for probe in probes.values()} == {CONSUMING_PATH}
        timeouts = {field: probe["periodSeconds"] * probe["failureThreshold"] for field, probe in probes.items()}
        assert timeouts["startupProbe"] >= WARM_UP_TIMEOUT_SECONDS
        assert timeouts["livenessProbe"] >= WARM_UP_TIMEOUT_SECONDS, "the worker may restart itself"


def test_the_display_is_asked_where_a_real_one_answers(settings: Settings) -> None:
    [container] = pod_specs(build(MANIFESTS_FOLDER / "base"))["artdream-display"]["containers"]
    port = free_port()
    environment = settings.model_copy(update={"port": port}).to_environment()
    command = [sys.executable, "-m", *container["command"]]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "the display listens")
        for probe in (probe for field, probe in container.items() if field.endswith("Probe")):
            url = f"http://127.0.0.1:{port}{probe['httpGet']['path']}"
            with urlopen(url, timeout=WAIT_TIMEOUT_SECONDS) as response:
                assert response.read() == b"ok", "Streamlit answers unknown paths with 200 and its page"
    finally:
        process.terminate()
        process.wait(WAIT_TIMEOUT_SECONDS)


def test_the_deliverer_of_webhooks_is_asked_what_a_real_one_answers(
    webhooks_pod: Manifest, settings: Settings, client: redis.Redis
) -> None:
    [container] = webhooks_pod["containers"]
    port = free_port()
    environment = os.environ | settings.model_copy(update={"webhooks_metrics_port": port}).to_environment()
    [readiness, startup, liveness] = (container[f"{name}Probe"] for name in ("readiness", "startup", "liveness"))
    assert startup["tcpSocket"] == liveness["tcpSocket"] == {"port": "metrics"}

    def is_ready() -> bool:
        python, *arguments = readiness["exec"]["command"]
        assert python == "python"
        return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True).returncode == 0

    assert not is_ready()
    process = subprocess.Popen([sys.executable, "-m", *container["command"]], env=environment)
    try:
        wait_until(lambda: is_listening(port), "its metrics can be asked for")
        wait_until(is_ready, "it is ready")
    finally:
        process.terminate()
        process.wait(WAIT_TIMEOUT_SECONDS)


def test_the_deliverer_of_webhooks_has_the_key_that_the_display_signs_with_and_no_passcode(
    webhooks_pod: Manifest,
) -> None:
    base = pod_specs(build(MANIFESTS_FOLDER / "base"))
    [display_secrets] = [volume["projected"] for volume in base["artdream-display"]["volumes"] if "projected" in volume]
    [secrets] = [volume["projected"] for volume in webhooks_pod["volumes"] if "projected" in volume]
    common, own = secrets["sources"]
    assert [common["secret"]["name"], own["secret"]["name"]] == [
        source["secret"]["name"] for source in display_secrets["sources"]
    ]
    assert own["secret"]["items"] == [{"key": "artdream_links_secret", "path": "artdream_links_secret"}]


def test_gpus_are_requested_only_in_the_gpu_overlay() -> None:
    for overlay, gpu_count in (("base", None), ("gpu", 1)):
        for name, pod in pod_specs(build(MANIFESTS_FOLDER / overlay)).items():
            limits = pod["containers"][0]["resources"]["limits"]
            assert limits.get("nvidia.com/gpu") == (gpu_count if "worker" in name else None)
