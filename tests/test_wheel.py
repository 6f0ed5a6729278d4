"""The wheel: all that is in the checkout, each part by itself, and a producer that is small."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.uv import ROOT, export_requirements, run_uv

#: Megabytes that a machine which only produces gives to ArtDream at most.
MAX_PRODUCER_MEGABYTES = 150

#: Something that only works with the files beside the code, and what it says.
SMOKE_COMMANDS = {
    "producer": (["recipes"], "kaleidoscope"),
    "display": (["status"], "No ArtDream runs on the folder"),
    "worker": (["networks"], "artist/masters"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run_uv("build", "--quiet", "--wheel", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a new environment with the wheel and one extra, as locked."""

    @cache
    def install(extra: str) -> Path:
        folder = tmp_path_factory.mktemp(extra)
        (folder / "requirements.txt").write_text(export_requirements(extra))
        run_uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
        into = ["pip", "install", "--quiet", "--python", folder / "venv"]
        run_uv(*into, "--require-hashes", "--requirement", folder / "requirements.txt")
        run_uv(*into, "--no-deps", wheel)
        return folder

    return install


def run_artdream(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [environment / "venv/bin/artdream", *arguments]
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(environment), "COLUMNS": "200"}
    return subprocess.run(command, cwd=environment, env=clean, capture_output=True, text=True, check=False)


def test_the_wheel_holds_every_file_that_git_knows_of_the_packages(wheel: Path) -> None:
    """Recipes, templates, scripts in Lua, networks, words and fonts; and nothing that git does not know."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *packages["packages"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == set(listed.stdout.split())
    assert {Path(name).suffix for name in held} >= {".toml", ".lua", ".keras", ".npz", ".woff2", ".js", ".heic"}


@pytest.mark.parametrize("part", SMOKE_COMMANDS)
def test_each_part_runs_from_the_wheel_alone(part: str, installed: Callable[[str], Path]) -> None:
    environment = installed(part)
    command, said = SMOKE_COMMANDS[part]
    helped = run_artdream(environment, "--help")
    assert helped.returncode == 0, helped.stderr
    assert "Photograph something" in helped.stdout
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run_artdream(environment, "--version").stdout == f"artdream {version}\n"
    told = run_artdream(environment, *command)
    assert said in told.stdout + told.stderr
    assert "Traceback" not in told.stderr


def test_a_machine_that_only_produces_stays_small(installed: Callable[[str], Path]) -> None:
    files = [file for file in (installed("producer") / "venv").rglob("*") if "__pycache__" not in file.parts]
    assert sum(file.lstat().st_size for file in files) < MAX_PRODUCER_MEGABYTES * 1e6
