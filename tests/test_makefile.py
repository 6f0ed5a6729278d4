"""`make` installs uv with what the machine's Python has, or says what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"


def make_uv(folder: Path, missing: str) -> subprocess.CompletedProcess[str]:
    """Run the target in an empty folder, with a Python without the modules that match a shell pattern, `missing`."""
    programs = folder / "programs"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\ncase "$2" in {missing}) exit 1 ;; esac\nexec {sys._base_executable} "$@"\n')  # type: ignore[attr-defined]
    python.chmod(0o755)
    return subprocess.run(
        ["make", "--makefile", MAKEFILE, ".tools/bin/uv"],
        cwd=folder,
        env=os.environ | {"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_a_python_without_pip_and_venv_is_told_what_to_install(tmp_path: Path) -> None:
    completed = make_uv(tmp_path, "pip|venv")
    assert completed.returncode == 2
    [sentence, _] = completed.stderr.splitlines()
    assert sentence == "To install uv, Python needs pip or venv: on Debian and Ubuntu, apt install python3-venv."
    assert not (tmp_path / ".tools").exists()


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["pip", "venv"])
def test_either_of_them_is_enough(missing: str, tmp_path: Path) -> None:
    completed = make_uv(tmp_path, missing)
    assert completed.returncode == 0, completed.stderr
    version = subprocess.run([tmp_path / ".tools/bin/uv", "--version"], capture_output=True, text=True)
    assert version.stdout.startswith("uv "), version.stderr
