"""Logs: what a line looks like, what may not be in it, and when a traceback is worth its lines."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from pythonjsonlogger.json import JsonFormatter

from shared.broker.client import AWAY, BARRED
from shared.errors import ArtDreamError
from shared.settings import Settings

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON = "%(levelname)s %(name)s %(message)s"

#: What a line of JSON may have besides: of what libraries add, nobody knows what is in it.
_FIELDS = {"time", "level", "logger", "message", "part", "job", "stage", "seconds", "exc_info", "stack_info"}

#: How the variables end that hold the keys of stores.
_KEYS = ("SECRET_ACCESS_KEY", "SESSION_TOKEN", "ACCOUNT_KEY", "SAS_KEY", "CLIENT_SECRET", "ACCESS_KEY_ID")

#: Letters of the shortest secret that is looked for: a shorter one would be found in every word.
_SHORTEST = 6

_job: ContextVar[str] = ContextVar("job", default="")


def configure(settings: Settings, part: str) -> None:
    """Log to standard error from now on, in the form that the settings choose. part: the name of this process."""
    handler = logging.StreamHandler()
    handler.addFilter(_Told(part))
    handler.setFormatter(_Discreet(_formatter(settings), secrets_of(settings)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    if settings.log == "json":
        sys.excepthook = _tell_fault


@contextmanager
def about(job_id: str) -> Iterator[None]:
    """Mark every line that this thread logs meanwhile as being about a job."""
    token = _job.set(job_id)
    try:
        yield
    finally:
        _job.reset(token)


def in_json() -> bool:
    """Tell whether standard error is read by a program, line by line."""
    return any(isinstance(handler.formatter, _Discreet) and handler.formatter.json for handler in logging.root.handlers)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return what must stand in no line: the settings' secrets, and the stores' keys in the environment."""
    found = {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    for address in list(found):
        password = urlsplit(address).password if "://" in address else None
        found |= {password, unquote(password)} if password else set()
    found |= {value for name, value in os.environ.items() if name.endswith(_KEYS)}
    # The longest first, so that no part of one is left where another is a part of it.
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST), key=len, reverse=True))


def _formatter(settings: Settings) -> logging.Formatter:
    if settings.log == "text":
        return logging.Formatter(_TEXT)
    names = {"levelname": "level", "name": "logger"}
    return _Lines(_JSON, rename_fields=names, timestamp="time", json_ensure_ascii=False)


class _Lines(JsonFormatter):
    """One object a line."""

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Leave out what libraries add."""
        return {name: value for name, value in log_data.items() if name in _FIELDS}


class _Told(logging.Filter):
    """Adds what a line is about, and takes the traceback off a fault that can be expected: its sentence says all."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything."""
        record.part = self._part
        if not hasattr(record, "job") and (job := _job.get()):
            record.job = job
        if record.exc_info and _expected(record.exc_info[1]):
            record.exc_info = record.exc_text = None
        return True


def _expected(error: BaseException | None) -> bool:
    """Tell whether a fault is one of those that happen: store or broker away, a killed pool process, a time limit."""
    while error is not None:
        if isinstance(error, (ArtDreamError, *AWAY, *BARRED)) or type(error).__module__.startswith("billiard."):
            return True
        error = error.__cause__
    return False


class _Discreet(logging.Formatter):
    """Another formatter, of whose lines no secret is a part, whoever put it there."""

    def __init__(self, inner: logging.Formatter, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._inner = inner
        self.json = isinstance(inner, JsonFormatter)
        self._secrets = dict.fromkeys(form for one in secrets for form in (one, json.dumps(one)[1:-1]))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, "•••")
        return line


def _tell_fault(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, fault, trace)
    else:
        logging.getLogger("artdream").critical("%s: %s", kind.__name__, fault, exc_info=(kind, fault, trace))
