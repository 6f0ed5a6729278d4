"""uv, as the Makefile finds it."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_uv(*arguments: str | Path) -> str:
    """Run uv in the checkout; return what it said."""
    command = [shutil.which("uv") or ROOT / ".tools/bin/uv", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def export_requirements(*extras: str) -> str:
    """Return, as requirements, what the lock file installs besides ArtDream itself."""
    wanted = [argument for extra in extras for argument in ("--extra", extra)]
    return run_uv("export", "--quiet", "--locked", "--no-dev", "--no-emit-project", "--no-header", *wanted)
