"""The guarantees of docker-compose.yml and its overrides, as Compose merges them."""

import itertools
import json
import re
from pathlib import Path

import pytest

from shared.broker.acl import build_acl_rules
from shared.public_url import resolve_public_url
from shared.settings import ENV_PREFIX, SETTING_GROUPS, Settings
from tests.deploy.compose import (
    BUCKET,
    BUCKET_VARIABLES,
    GPU,
    REQUIRED_SECRETS,
    ROOT,
    TLS,
    load_project,
    load_services,
    parse_dockerfile,
    read_image_environment,
    read_json_instruction,
    run_config,
)
from tests.redis_server import DEFAULT_USER_RULE
from worker.consumer.shutdown import RELEASE_TIMEOUT_SECONDS

OVERRIDE_SETS = [(), (GPU,), (TLS,), (GPU, TLS), (GPU, TLS, BUCKET)]
COMPONENTS = ("worker", "display", "producer")
CLIENTS = (*COMPONENTS, "webhooks")  # of broker and store

#: Settings that an operator of Compose does not choose, and why.
FIXED_SETTINGS = {
    **dict.fromkeys(("data", "inbox", "weights", "secrets_dir"), "a path in the container"),
    **dict.fromkeys(("broker_url", "broker_ca", "insecure_broker", "store_url"), "leads to a service of the project"),
    **dict.fromkeys(("ssh", "ssh_key", "ssh_known_hosts"), "broker and store are on the network of the containers"),
    **dict.fromkeys(("host", "port", "metrics_host"), "of the container; ARTDREAM_HOST is the server's own address"),
    **dict.fromkeys((name for name in Settings.model_fields if name.endswith("_metrics_port")), "known to Prometheus"),
    "log": "the engine's log driver keeps it",
    "grace_seconds": "stop_grace_period depends on it",
    "webhooks": "a profile",
    "event": "a file, with a logo beside it, that the container does not see: the console has the same",
    **dict.fromkeys(
        ("mirror", "mirror_network", "c2pa_key", "c2pa_certificate", "tracing"), "the images lack the extra"
    ),
    **dict.fromkeys(
        ("printer", "print_sheet", "print_paper", "print_automatic"), "of `artdream print`, which is no service"
    ),
}

#: Settings that are not for all parts.
PARTS_OF_SETTINGS = {
    "passcode": ("display",),
    "send": ("display",),
    "public_url": ("display", "webhooks"),
    "links_secret": ("display", "webhooks"),
}
BUILT_SERVICES = (*CLIENTS, "weights", "store")


def parse_seconds(duration: str) -> int:
    return sum(
        int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)
    )


for_each_override = pytest.mark.parametrize("overrides", OVERRIDE_SETS, ids=lambda names: "+".join(names) or "alone")


@for_each_override
def test_compose_takes_the_files_and_each_service_is_guarded(overrides: tuple[str, ...]) -> None:
    services = load_services(*overrides)
    assert set(services) == {"valkey", "store", *CLIENTS, "weights", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in service["tmpfs"], name
        assert service.get("privileged") is None, name
        assert service.get("network_mode") is None, name
        assert {"max-size", "max-file"} <= service["logging"]["options"].keys(), name
        assert service["mem_limit"], name
        if name != "weights":
            assert service["healthcheck"]["test"], name


@for_each_override
def test_nobody_outside_reaches_broker_or_store(overrides: tuple[str, ...]) -> None:
    project = load_project(*overrides)
    assert project["networks"]["inside"]["internal"] is True
    services = project["services"]
    published = {name: {port["host_ip"] for port in service.get("ports", [])} for name, service in services.items()}
    assert set(services["store"]["networks"]) == {"inside"}
    assert published.pop("store") == set()
    if TLS not in overrides:
        assert set(services["valkey"]["networks"]) == {"inside"}
        assert published["valkey"] == set()
    for hosts in published.values():  # loopback only, unless the operator sets another address
        assert hosts <= {"127.0.0.1"}
    for name in CLIENTS:
        assert "inside" in services[name]["networks"]


@pytest.mark.parametrize("name", REQUIRED_SECRETS)
def test_a_secret_that_was_not_chosen_is_asked_for_in_words(name: str) -> None:
    for replacement in ({}, {name: ""}):
        completed = run_config(
            environment={**{key: value for key, value in REQUIRED_SECRETS.items() if key != name}, **replacement}
        )
        assert completed.returncode != 0
        assert re.search(rf"{name} is missing a value: choose the .*: openssl rand -hex 24", completed.stderr)


@pytest.mark.parametrize("name", BUCKET_VARIABLES)
def test_what_leads_to_a_bucket_is_asked_for(name: str) -> None:
    variables = {key: value for key, value in BUCKET_VARIABLES.items() if key != name}
    completed = run_config(BUCKET, environment=REQUIRED_SECRETS | variables)
    assert completed.returncode != 0
    assert re.search(rf"{name} is missing a value: (name|choose) ", completed.stderr)


def test_a_bucket_takes_the_place_of_the_store() -> None:
    for variables, endpoint in (
        ({}, "https://s3.eu-central-1.amazonaws.com"),
        ({"AWS_ENDPOINT": "https://s3.example.org"}, "https://s3.example.org"),
    ):
        services = load_project(BUCKET, **variables)["services"]
        for name in CLIENTS:
            expected = BUCKET_VARIABLES | {"AWS_ENDPOINT": endpoint, "AWS_ALLOW_HTTP": "false"}
            assert services[name]["environment"].items() >= expected.items()
            assert set(services[name]["networks"]) == {"inside", "outside"}


def test_the_folder_of_certificates_is_asked_for() -> None:
    assert "name the folder of ca.pem, valkey.pem and valkey.key" in run_config(TLS).stderr


def test_no_secret_stands_in_a_command_line() -> None:
    for overrides in OVERRIDE_SETS:
        for name, service in load_services(*overrides).items():
            command_lines = json.dumps([service.get("command"), service.get("entrypoint"), service.get("healthcheck")])
            assert not [secret for secret in REQUIRED_SECRETS.values() if secret in command_lines], name


@for_each_override
def test_parts_start_once_broker_and_store_are_well(overrides: tuple[str, ...]) -> None:
    for name in CLIENTS:
        dependencies = load_services(*overrides)[name]["depends_on"]
        assert {key: dependency["condition"] for key, dependency in dependencies.items()} == {
            "valkey": "service_healthy",
            "store": "service_healthy",
        }


@for_each_override
def test_services_come_back_after_a_crash_of_the_engine(overrides: tuple[str, ...]) -> None:
    """With unless-stopped they stayed down: an engine that starts again stops what the killed one left running."""
    for name, service in load_services(*overrides).items():
        assert service["restart"] == ("no" if name == "weights" else "always"), name


@for_each_override
def test_a_worker_is_left_the_time_to_finish_or_hand_back(overrides: tuple[str, ...]) -> None:
    worker = load_services(*overrides)["worker"]
    grace = float(worker["environment"]["ARTDREAM_GRACE_SECONDS"])
    assert parse_seconds(worker["stop_grace_period"]) >= grace + RELEASE_TIMEOUT_SECONDS + 3


@for_each_override
def test_every_setting_that_a_part_gets_is_one(overrides: tuple[str, ...]) -> None:
    known = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in CLIENTS:
        service = load_services(*overrides)[name]
        environment = service["environment"] | read_image_environment(service["build"]["target"])
        assert {variable for variable in environment if variable.startswith(ENV_PREFIX)} <= known


def test_every_setting_that_an_operator_may_choose_reaches_the_parts() -> None:
    """Seen failing: retention and approval did nothing, and nothing said so."""
    names = [name for group in SETTING_GROUPS.values() for name in group]
    assert set(names) >= FIXED_SETTINGS.keys() | PARTS_OF_SETTINGS.keys()
    chosen = {f"{ENV_PREFIX}{name.upper()}": f"chosen-{name}" for name in names if name not in FIXED_SETTINGS}
    services = load_project(**chosen)["services"]
    for name in names:
        variable = f"{ENV_PREFIX}{name.upper()}"
        for service in PARTS_OF_SETTINGS.get(name, CLIENTS):
            found = services[service]["environment"].get(variable)
            assert name in FIXED_SETTINGS or found == chosen[variable], (service, name)


def test_a_setting_that_is_not_chosen_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = Settings(_env_file=None)
    for service in CLIENTS:
        environment = load_services()[service]["environment"]
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value or "")
            settings = Settings(_env_file=None)
        for name in Settings.model_fields.keys() - FIXED_SETTINGS.keys() - {"send", "public_url"}:
            assert getattr(settings, name) == getattr(defaults, name), (service, name)


@for_each_override
def test_settings_are_accepted_by_the_part_that_gets_them(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CLIENTS:
        with monkeypatch.context() as patch:
            for key, value in load_services(*overrides)[name]["environment"].items():
                patch.setenv(key, value or "")
            patch.setenv("ARTDREAM_BROKER_CA", "")  # this file exists in the container only
            assert Settings(_env_file=None).broker


def test_in_the_clear_is_spoken_on_the_inner_network_only() -> None:
    assert load_services()["worker"]["environment"]["ARTDREAM_INSECURE_BROKER"] == "true"
    for name in CLIENTS:
        environment = load_services(TLS)[name]["environment"]
        assert environment["ARTDREAM_INSECURE_BROKER"] == "false"
        assert environment["ARTDREAM_BROKER_URL"].startswith("rediss://")
        assert environment["ARTDREAM_BROKER_CA"] in {volume["target"] for volume in load_services(TLS)[name]["volumes"]}


def test_the_broker_s_users_are_those_of_the_security_page() -> None:
    [script] = load_services()["valkey"]["command"]
    assert DEFAULT_USER_RULE in script
    assert f"user artdream on >$REDISCLI_AUTH {build_acl_rules()}" in script
    for option in ("--appendonly yes", "--maxmemory-policy noeviction"):
        assert option in script


def test_qr_codes_lead_phones_to_the_server_or_there_are_none() -> None:
    """Seen failing: by default they led each phone to itself."""

    def resolve(**variables: str) -> str | None:
        environment = load_project(**variables)["services"]["display"]["environment"]
        return resolve_public_url(
            Settings(public_url=environment["ARTDREAM_PUBLIC_URL"], host="0.0.0.0", _env_file=None)
        )

    assert resolve() is None
    assert resolve(ARTDREAM_PUBLIC_URL="http://192.0.2.7:8501") == "http://192.0.2.7:8501"


def test_each_gpu_has_a_pool_process() -> None:
    for variables, count in ({}, 1), ({"ARTDREAM_GPUS": "4"}, 4):
        worker = load_project(GPU, **variables)["services"]["worker"]
        assert worker["command"] == ["worker", "--concurrency", str(count)]
        [devices] = worker["deploy"]["resources"]["reservations"]["devices"]
        assert (devices["driver"], devices["count"], devices["capabilities"]) == ("nvidia", count, ["gpu"])
        assert worker["build"]["target"] == "worker-gpu"
    assert "deploy" not in load_services()["worker"]


def test_what_is_asked_about_a_part_is_asked_by_its_image_too() -> None:
    for name in COMPONENTS:
        assert load_services()[name]["healthcheck"]["test"] == ["CMD", *read_json_instruction(name, "HEALTHCHECK")]
        assert load_services()[name]["command"] == read_json_instruction(name, "CMD")


def test_every_image_is_built_from_a_stage_there_is_and_writes_only_where_it_may() -> None:
    for overrides in OVERRIDE_SETS:
        for name in BUILT_SERVICES:
            service = load_services(*overrides)[name]
            assert service["build"]["dockerfile"] == "deploy/Dockerfile"
            assert service["build"]["target"] in parse_dockerfile()
    # Guests' uploads and rejected files pass between them, and the key of the links.
    for name in ("display", "producer", "webhooks"):
        folders = {volume["target"]: volume["source"] for volume in load_services()[name]["volumes"]}
        assert folders["/data"] == "parts"
    [inbox] = [volume for volume in load_services()["producer"]["volumes"] if volume["target"] == "/inbox"]
    assert inbox["read_only"] is True


def test_a_folder_is_named_as_anywhere_else() -> None:
    """In Compose's short form `photos` would be a named volume, not the folder."""
    services = load_project(TLS, ARTDREAM_TLS="tls", ARTDREAM_INBOX="photos")["services"]
    [inbox] = [volume for volume in services["producer"]["volumes"] if volume["target"] == "/inbox"]
    [certificates] = [volume for volume in services["valkey"]["volumes"] if volume["target"] == "/tls"]
    assert inbox["source"] == str(ROOT / "photos")
    assert certificates["source"] == str(ROOT / "tls")


def test_every_file_that_is_mounted_is_there() -> None:
    for service in load_services().values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind" and ROOT / "deploy" in Path(volume["source"]).parents:
                assert Path(volume["source"]).exists()


def test_every_image_that_is_fetched_names_its_version() -> None:
    pulled_images = [service["image"] for service in load_services().values() if "build" not in service]
    base_images = [source for source, *_ in parse_dockerfile().values() if source not in parse_dockerfile()]
    copied_images = re.findall(r"--from=(\S+)", " ".join(itertools.chain(*parse_dockerfile().values())))
    for image in (*pulled_images, *base_images, *(image for image in copied_images if image not in parse_dockerfile())):
        assert re.search(r":v?\d", image), image
