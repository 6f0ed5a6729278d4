"""The modules of the browser that need no browser, tested by Node.js: `*.test.js` beside this file."""

import shutil
import subprocess
from pathlib import Path

import pytest

from display.web.script_bundle import bundle_scripts
from tests.skip import skip_or_fail

TESTS = sorted(Path(__file__).parent.glob("*.test.js"))


@pytest.fixture
def node() -> str:
    return shutil.which("node") or skip_or_fail("no Node.js: install Debian's `nodejs`")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_a_module_keeps_its_promises(node: str, path: Path) -> None:
    completed = subprocess.run([node, "--test", str(path)], capture_output=True, text=True, timeout=60)
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_the_wall_is_one_module_that_imports_nothing_and_exports_one_function(node: str, tmp_path: Path) -> None:
    script = tmp_path / "wall.mjs"
    script.write_text(bundle_scripts("wall/wall.js"))
    program = f"const wall = await import({script.as_uri()!r}); console.log(Object.keys(wall), typeof wall.default)"
    completed = subprocess.run(
        [node, "--input-type=module", "--eval", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert completed.stdout == "[ 'default' ] function\n"
