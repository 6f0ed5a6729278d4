"""Run uv, found as the Makefile finds it."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def find_uv() -> str | Path:
    """Return the program."""
    return shutil.which("uv") or ROOT / ".tools/bin/uv"


def run_uv(*arguments: str | Path) -> str:
    """Run uv in the checkout and return its standard output."""
    command = [find_uv(), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout


def export_requirements(*extras: str) -> str:
    """Return the locked dependencies of these extras, without ArtDream itself, as a requirements file."""
    extra_options = [argument for extra in extras for argument in ("--extra", extra)]
    return run_uv("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-header", *extra_options)
