"""The Docker images: their packages, users and build contexts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT, collect_instructions, read_json_instruction
from tests.uv import export_requirements

pytestmark = pytest.mark.slow

IMAGES = ("producer", "display", "worker", "worker-gpu")
HEAVY_PACKAGES = {"tensorflow", "keras", "jax", "jaxlib", "torch", "tensorflow-cpu"}


def read_extras(part: str) -> set[str]:
    """Return the extras that a component's image installs; both `uv sync` steps must install the same ones."""
    lines = collect_instructions(f"build-{part}")
    assert [line.startswith("ENV ") and " UV_CACHE_DIR=/cache " in line for line in lines].count(True) == 1
    commands = [line for line in lines if "uv sync" in line]
    assert len(commands) == 2
    for command in commands:
        assert "--locked --no-dev --no-editable" in command
        assert "--mount=type=cache,target=/cache " in command
    first, second = (set(re.findall(r"--extra (\S+)", command)) for command in commands)
    assert first == second
    assert f"COPY --from=build-{part} /app/.venv /app/.venv" in collect_instructions(part)
    return first


def list_packages(part: str) -> set[str]:
    return {line.partition("==")[0] for line in export_requirements(*read_extras(part)).splitlines() if "==" in line}


@pytest.mark.parametrize("part", ["producer", "display"])
def test_small_images_have_no_tensorflow(part: str) -> None:
    assert HEAVY_PACKAGES & list_packages(part) == set()
    assert "celery" in list_packages(part)


def test_workers_have_what_they_compute_with() -> None:
    assert {"tensorflow", "keras"} <= list_packages("worker")
    assert {"jax", "jax-cuda12-plugin", "keras"} <= list_packages("worker-gpu")
    assert "jax" not in list_packages("worker")
    assert any("KERAS_BACKEND=jax" in line for line in collect_instructions("worker-gpu"))


@pytest.mark.parametrize("part", IMAGES)
def test_images_run_as_nobody_special_and_hear_signals(part: str) -> None:
    """In shell form only the shell would get the signals."""
    assert [line for line in collect_instructions(part) if line.startswith("USER ")] == ["USER 10001:10001"]
    assert read_json_instruction(part, "ENTRYPOINT") == ["artdream"]
    assert read_json_instruction(part, "CMD")
    assert read_json_instruction(part, "HEALTHCHECK")[:3] == ["python", "-m", "artdream.stack.healthcheck"]


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    completed = subprocess.run([linter, "deploy/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stdout) == (0, "")


def test_only_what_the_wheel_is_made_of_goes_into_a_build() -> None:
    """No `.env`, photos or history: only the named paths are in the build context."""
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert first == "*"
    allowed = {line.removeprefix("!") for line in rest if line.startswith("!")}
    assert allowed == {
        *("artdream", "display", "producer", "shared", "worker"),
        *("pyproject.toml", "uv.lock", "README.md", "LICENSE"),
    }
    assert all((ROOT / name).exists() for name in allowed)
