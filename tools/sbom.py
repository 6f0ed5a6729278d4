"""Write a bill of materials of each extra, in the format CycloneDX 1.5: `python -m tools.sbom UV FOLDER`."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_bills(uv: str, folder: Path) -> None:
    """Write `folder`/EXTRA.cdx.json for each extra, from what uv.lock installs with it. uv: the program."""
    folder.mkdir(parents=True, exist_ok=True)
    for extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]:
        options = ["--quiet", "--locked", "--no-dev", "--extra", extra, "--format", "cyclonedx1.5"]
        output = ["--output-file", str(folder.absolute() / f"{extra}.cdx.json")]
        subprocess.run([uv, "export", *options, *output], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    write_bills(sys.argv[1], Path(sys.argv[2]))
