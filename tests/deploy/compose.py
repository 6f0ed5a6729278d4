"""The Compose files as Compose merges and checks them, and the Dockerfile; no container engine is needed."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPOSE_PATH = Path(sys.executable).with_name("docker-compose")

#: The overrides in deploy/.
GPU, TLS, BUCKET = "gpu", "tls", "bucket"

#: Variables that an operator must set, with values for tests.
REQUIRED_SECRETS = {"ARTDREAM_BROKER_PASSWORD": "6f1d0b7c2a9e4835", "ARTDREAM_STORE_SECRET": "b81c93d2e7f04a56"}

#: What the override for a bucket needs besides.
BUCKET_VARIABLES = {
    "ARTDREAM_STORE_URL": "s3://evening/photos",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "4c1d7be09a52f638",
}

Service = dict[str, Any]


def run_config(*overrides: str, environment: Mapping[str, str] = REQUIRED_SECRETS) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config` with nothing but the given variables in the environment; return the process."""
    files = ["docker-compose.yml", *(f"deploy/compose.{name}.yml" for name in overrides)]
    command: list[str | Path] = [COMPOSE_PATH, "--project-directory", ROOT, "--env-file", "/dev/null", "--profile", "*"]
    for file in files:
        command += ["--file", ROOT / file]
    clean_environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"} | dict(environment)
    return subprocess.run(
        [*command, "config", "--format", "json"], env=clean_environment, capture_output=True, text=True, check=False
    )


def load_project(*overrides: str, **variables: str) -> dict[str, Any]:
    """Return the merged project: services, networks, volumes. variables: environment variables by name."""
    environment = REQUIRED_SECRETS | variables
    if TLS in overrides:
        environment.setdefault("ARTDREAM_TLS", "/certificates")
    if BUCKET in overrides:
        environment = BUCKET_VARIABLES | environment
    completed = run_config(*overrides, environment=environment)
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""  # it warns of unset variables
    project: dict[str, Any] = json.loads(completed.stdout.replace("$$", "$"))  # it escapes dollar signs
    return project


@cache
def load_services(*overrides: str) -> dict[str, Service]:
    """Return the services by name."""
    services: dict[str, Service] = load_project(*overrides)["services"]
    return services


@cache
def parse_dockerfile() -> dict[str, list[str]]:
    """Return the instructions of deploy/Dockerfile by stage; the first item of each is its base."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    stages: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("FROM "):
            _, source, _, name = line.split()
            stages[name] = [source]
        elif not line.startswith("#"):
            stages[name].append(line)
    return stages


def collect_instructions(target: str) -> list[str]:
    """Return all instructions of a stage, those of its base stages first."""
    source, *instructions = parse_dockerfile()[target]
    return [*(collect_instructions(source) if source in parse_dockerfile() else [f"FROM {source}"]), *instructions]


def read_json_instruction(target: str, kind: str) -> Any:
    """Return the value of a stage's last instruction of a kind, which must be in exec (JSON) form."""
    line = [line for line in collect_instructions(target) if line.startswith(f"{kind} ")][-1]
    return json.loads(line[line.index("[") :])


def read_image_environment(target: str) -> dict[str, str]:
    """Return the environment variables of an image."""
    words = [word for line in collect_instructions(target) if line.startswith("ENV ") for word in line.split()[1:]]
    return dict(word.split("=", 1) for word in words)
