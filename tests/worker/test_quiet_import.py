"""TensorFlow is imported without output, and without packages that it does not need here."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from worker.quiet_import import SKIPPED_PACKAGES, quiet_import


@pytest.mark.slow
def test_the_engine_comes_alone_and_in_silence_and_the_rest_can_be_imported_afterwards() -> None:
    program = f"""
import sys
from worker.quiet_import import quiet_import
with quiet_import():
    import worker.dreaming.engine
print("tensorflow" in sys.modules, [name for name in {SKIPPED_PACKAGES} if name in sys.modules])
import sklearn
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "True []\n", "")
    assert all(find_spec(name) for name in SKIPPED_PACKAGES), "here they are installed"


def test_where_the_import_fails_what_native_code_said_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_import():
        os.write(2, b"a driver is missing")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError):  # noqa: PT012, SIM117
        with quiet_import():
            os.write(2, b"a library is damaged")
            raise ImportError
    assert capfd.readouterr().err == "a library is damaged"
