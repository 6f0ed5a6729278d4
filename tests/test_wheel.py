"""The wheel: it contains all files of the packages, each component runs from it alone, and the producer is small."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.uv import ROOT, export_requirements, run_uv

pytestmark = pytest.mark.slow

#: Largest size in megabytes of an installation with the producer only.
MAX_PRODUCER_MEGABYTES = 150

#: Extra → a command that needs the package's data files, and text that it prints.
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


def test_the_wheel_is_the_same_bytes_wherever_and_whenever_it_is_built(wheel: Path, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(
        ".git", ".*_cache", ".venv*", ".tools", "__pycache__", "mutants", "node_modules", "site"
    )
    copy = shutil.copytree(
        ROOT, tmp_path / "elsewhere", ignore=ignored, copy_function=shutil.copyfile
    )  # with new times
    run_uv("build", "--quiet", "--wheel", "--out-dir", tmp_path, copy)
    [other] = tmp_path.glob("*.whl")
    assert other.read_bytes() == wheel.read_bytes()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that makes a new environment with the wheel and one extra, as locked."""

    @cache
    def install(extra: str) -> Path:
        folder = tmp_path_factory.mktemp(extra)
        (folder / "requirements.txt").write_text(export_requirements(extra))
        run_uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
        pip_install: list[str | Path] = ["pip", "install", "--quiet", "--python", folder / "venv"]
        run_uv(*pip_install, "--require-hashes", "--requirement", folder / "requirements.txt")
        run_uv(*pip_install, "--no-deps", wheel)
        return folder

    return install


def run_artdream(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [environment / "venv/bin/artdream", *arguments]
    environment_variables = {"PATH": "/usr/bin:/bin", "HOME": str(environment), "COLUMNS": "200"}
    return subprocess.run(
        command, cwd=environment, env=environment_variables, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_file_that_git_knows_of_the_packages(wheel: Path) -> None:
    """Recipes, templates, Lua scripts, networks, translations and fonts; and nothing that git does not know."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    git_listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *packages["packages"]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(wheel) as archive:
        packed_names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed_names == set(git_listing.stdout.split())
    assert {Path(name).suffix for name in packed_names} >= {".toml", ".lua", ".keras", ".npz", ".woff2", ".js", ".heic"}


@pytest.mark.parametrize("part", SMOKE_COMMANDS)
def test_each_part_runs_from_the_wheel_alone(part: str, installed: Callable[[str], Path]) -> None:
    environment = installed(part)
    command, expected = SMOKE_COMMANDS[part]
    help_process = run_artdream(environment, "--help")
    assert help_process.returncode == 0, help_process.stderr
    assert "A live dreaming installation" in help_process.stdout
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run_artdream(environment, "--version").stdout == f"artdream {version}\n"
    process = run_artdream(environment, *command)
    assert expected in process.stdout + process.stderr
    assert "Traceback" not in process.stderr


def test_a_machine_that_only_produces_stays_small(installed: Callable[[str], Path]) -> None:
    files = [file for file in (installed("producer") / "venv").rglob("*") if "__pycache__" not in file.parts]
    assert sum(file.lstat().st_size for file in files) < MAX_PRODUCER_MEGABYTES * 1e6
