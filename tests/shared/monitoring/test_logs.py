"""A log entry is one line, names its job, contains no secret, and has a traceback only for an unexpected error."""

import json
import os
import subprocess
import sys

import pytest

SETUP_SCRIPT = """
import logging, warnings
from redis.exceptions import ConnectionError
from shared.errors import ArtDreamError
from shared.monitoring.logs import bind_job_id, configure_logging
from shared.settings import Settings
settings = Settings.read()
configure_logging(settings, "worker")
log = logging.getLogger("worker.jobs.processor")
"""

SECRETS = {
    "ARTDREAM_BROKER_URL": "redis://artdream:hunter%40dusk@localhost/0",
    "ARTDREAM_PASSCODE": 'fisher "at" dawn',
    "ARTDREAM_LINKS_SECRET": "baker-before-breakfast",
    "AWS_SECRET_ACCESS_KEY": "cook-after-midnight",
}


def run_and_read_log(program: str, log_format: str = "json", **environment: str) -> str:
    """Run a program with logging configured, and return what it logged."""
    child_environment = {**os.environ, "ARTDREAM_LOG": log_format, **environment}
    process = subprocess.run(
        [sys.executable, "-c", SETUP_SCRIPT + program], env=child_environment, capture_output=True, text=True
    )
    assert process.stdout == ""
    return process.stderr


def read_json_lines(program: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in run_and_read_log(program).splitlines()]


def test_a_line_of_json_says_when_who_what_and_of_which_job() -> None:
    [line] = read_json_lines(
        "with bind_job_id('42'): log.info('it “dreams”\\nstill', extra={'seconds': 1.5, 'data': object()})"
    )
    assert str(line.pop("time")).endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "worker.jobs.processor",
        "message": "it “dreams”\nstill",
        "part": "worker",
        "job": "42",
        "seconds": 1.5,
    }


def test_what_python_says_by_itself_is_json_too() -> None:
    """Fails without `captureWarnings` and the exception hook."""
    lines = read_json_lines("warnings.warn('old'); 1 / 0")
    assert [line["level"] for line in lines] == ["WARNING", "CRITICAL"]
    assert "ZeroDivisionError" in str(lines[1]["exc_info"])


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_part_of_a_line(form: str) -> None:
    """Fails without `_RedactingFormatter`."""
    program = """
import os
log.info("%s %s", settings.broker, os.environ["AWS_SECRET_ACCESS_KEY"])
log.info("hunter@dusk %s", settings.links_secret.get_secret_value())
try: raise ValueError(settings.passcode.get_secret_value())
except ValueError: log.exception("a fault")
"""
    log = run_and_read_log(program, form, **SECRETS)
    assert log.count("•••") == 5 if form == "text" else log.count("•••") >= 5
    for secret in ("hunter", "dusk", "fisher", "dawn", "baker", "breakfast", "cook", "midnight"):
        assert secret not in log.replace("settings.", "")


ERROR_SCRIPT = """
def go():
    raise {error}
try:
    try: go()
    except Exception as error: raise RuntimeError("in the task") from error
except RuntimeError: log.exception("it failed: %s", "why")
"""


def test_a_fault_that_can_be_expected_has_no_traceback() -> None:
    """Fails without `_ContextFilter`, which drops the traceback of expected errors."""
    for error in ("ArtDreamError('away')", "ConnectionError('away')"):
        log = run_and_read_log(ERROR_SCRIPT.format(error=error), "text")
        assert log.count("\n") == 1
        assert log.endswith("ERROR   worker.jobs.processor: it failed: why\n")


def test_a_bug_keeps_its_traceback() -> None:
    assert "Traceback" in run_and_read_log(ERROR_SCRIPT.format(error="KeyError('bug')"), "text")
