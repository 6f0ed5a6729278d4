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

from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE
from shared.errors import ArtDreamError
from shared.settings import Settings

_TEXT_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_JSON_FORMAT = "%(levelname)s %(name)s %(message)s"

#: What a line of JSON may have besides: of what libraries add, nobody knows what is in it.
_JSON_FIELDS = {"time", "level", "logger", "message", "part", "job", "stage", "seconds", "exc_info", "stack_info"}

#: How the variables end that hold the keys of stores.
_SECRET_VARIABLE_SUFFIXES = (
    "SECRET_ACCESS_KEY",
    "SESSION_TOKEN",
    "ACCOUNT_KEY",
    "SAS_KEY",
    "CLIENT_SECRET",
    "ACCESS_KEY_ID",
)

#: Letters of the shortest secret that is looked for: a shorter one would be found in every word.
_MIN_SECRET_LENGTH = 6

_current_job_id: ContextVar[str] = ContextVar("job", default="")


def configure_logging(settings: Settings, component: str) -> None:
    """Log to standard error from now on, in the form that the settings choose. part: the name of this process."""
    handler = logging.StreamHandler()
    handler.addFilter(_ContextFilter(component))
    handler.setFormatter(_RedactingFormatter(_create_formatter(settings), collect_secrets(settings)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    if settings.log == "json":
        sys.excepthook = _log_uncaught


@contextmanager
def bind_job_id(job_id: str) -> Iterator[None]:
    """Mark every line that this thread logs meanwhile as being about a job."""
    token = _current_job_id.set(job_id)
    try:
        yield
    finally:
        _current_job_id.reset(token)


def is_json_logging() -> bool:
    """Tell whether standard error is read by a program, line by line."""
    return any(
        isinstance(handler.formatter, _RedactingFormatter) and handler.formatter.is_json
        for handler in logging.root.handlers
    )


def collect_secrets(settings: Settings) -> tuple[str, ...]:
    """Return what must stand in no line: the settings' secrets, and the stores' keys in the environment."""
    found = {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    for address in list(found):
        password = urlsplit(address).password if "://" in address else None
        found |= {password, unquote(password)} if password else set()
    found |= {value for name, value in os.environ.items() if name.endswith(_SECRET_VARIABLE_SUFFIXES)}
    # The longest first, so that no part of one is left where another is a part of it.
    return tuple(sorted((one for one in found if len(one) >= _MIN_SECRET_LENGTH), key=len, reverse=True))


def _create_formatter(settings: Settings) -> logging.Formatter:
    if settings.log == "text":
        return logging.Formatter(_TEXT_FORMAT)
    names = {"levelname": "level", "name": "logger"}
    return _JsonLinesFormatter(_JSON_FORMAT, rename_fields=names, timestamp="time", json_ensure_ascii=False)


class _JsonLinesFormatter(JsonFormatter):
    """One object a line."""

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Leave out what libraries add."""
        return {name: value for name, value in log_data.items() if name in _JSON_FIELDS}


class _ContextFilter(logging.Filter):
    """Adds what a line is about, and takes the traceback off a fault that can be expected: its sentence says all."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass everything."""
        record.part = self._component
        if not hasattr(record, "job") and (job := _current_job_id.get()):
            record.job = job
        if record.exc_info and _is_expected(record.exc_info[1]):
            record.exc_info = record.exc_text = None
        return True


def _is_expected(error: BaseException | None) -> bool:
    """Tell whether a fault is one of those that happen: store or broker away, a killed pool process, a time limit."""
    while error is not None:
        if isinstance(error, (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED)) or type(
            error
        ).__module__.startswith("billiard."):
            return True
        error = error.__cause__
    return False


class _RedactingFormatter(logging.Formatter):
    """Another formatter, of whose lines no secret is a part, whoever put it there."""

    def __init__(self, inner: logging.Formatter, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._inner = inner
        self.is_json = isinstance(inner, JsonFormatter)
        self._secrets = dict.fromkeys(form for one in secrets for form in (one, json.dumps(one)[1:-1]))

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, "•••")
        return line


def _log_uncaught(error_type: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(error_type, KeyboardInterrupt):
        sys.__excepthook__(error_type, error, traceback)
    else:
        logging.getLogger("artdream").critical(
            "%s: %s", error_type.__name__, error, exc_info=(error_type, error, traceback)
        )
