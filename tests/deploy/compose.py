"""The files of Compose as Compose itself merges and checks them; it needs no engine for that."""

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
GPU, TLS = "gpu", "tls"

#: What an operator has to choose.
REQUIRED_SECRETS = {"ARTDREAM_BROKER_PASSWORD": "6f1d0b7c2a9e4835", "ARTDREAM_STORE_SECRET": "b81c93d2e7f04a56"}

Service = dict[str, Any]


def run_config(*overrides: str, environment: Mapping[str, str] = REQUIRED_SECRETS) -> subprocess.CompletedProcess[str]:
    """Let Compose merge and check the files for an environment, of which nothing comes from this machine."""
    files = ["docker-compose.yml", *(f"deploy/compose.{name}.yml" for name in overrides)]
    command: list[str | Path] = [COMPOSE_PATH, "--project-directory", ROOT, "--env-file", "/dev/null", "--profile", "*"]
    for file in files:
        command += ["--file", ROOT / file]
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"} | dict(environment)
    return subprocess.run(
        [*command, "config", "--format", "json"], env=clean, capture_output=True, text=True, check=False
    )


def load_project(*overrides: str, **variables_chosen: str) -> dict[str, Any]:
    """Return the whole project: services, networks, volumes."""
    environment = REQUIRED_SECRETS | variables_chosen
    if TLS in overrides:
        environment.setdefault("ARTDREAM_TLS", "/certificates")
    merged = run_config(*overrides, environment=environment)
    assert merged.returncode == 0, merged.stderr
    assert merged.stderr == ""  # it warns of variables that are not set
    found: dict[str, Any] = json.loads(merged.stdout.replace("$$", "$"))  # it writes them as they are to be read again
    return found


@cache
def load_services(*overrides: str) -> dict[str, Service]:
    """Return the services by name."""
    found: dict[str, Service] = load_project(*overrides)["services"]
    return found


@cache
def parse_dockerfile() -> dict[str, list[str]]:
    """Return the instructions of deploy/Dockerfile by stage; each begins with what it is made from."""
    text = (ROOT / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("FROM "):
            _, source, _, name = line.split()
            found[name] = [source]
        elif not line.startswith("#"):
            found[name].append(line)
    return found


def collect_instructions(target: str) -> list[str]:
    """Return all instructions of a stage, those of the stages it is made from first."""
    source, *instructions = parse_dockerfile()[target]
    return [*(collect_instructions(source) if source in parse_dockerfile() else [f"FROM {source}"]), *instructions]


def read_json_instruction(target: str, kind: str) -> Any:
    """Return the last instruction of a kind that is written in JSON, as every process is that gets signals."""
    line = [line for line in collect_instructions(target) if line.startswith(f"{kind} ")][-1]
    return json.loads(line[line.index("[") :])


def read_image_environment(target: str) -> dict[str, str]:
    """Return what an image sets in the environment."""
    words = [word for line in collect_instructions(target) if line.startswith("ENV ") for word in line.split()[1:]]
    return dict(word.split("=", 1) for word in words)
