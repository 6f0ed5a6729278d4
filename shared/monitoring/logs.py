"""Logging: text or JSON lines without secrets, and without tracebacks for expected errors."""

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

#: The only fields of a JSON line: fields that libraries add are dropped, because they may hold anything.
_JSON_FIELDS = {"time", "level", "logger", "message", "part", "job", "stage", "seconds", "exc_info", "stack_info"}

#: Suffixes of the environment variables that hold the credentials of stores.
_SECRET_VARIABLE_SUFFIXES = (
    "SECRET_ACCESS_KEY",
    "SESSION_TOKEN",
    "ACCOUNT_KEY",
    "SAS_KEY",
    "CLIENT_SECRET",
    "ACCESS_KEY_ID",
)

#: Characters of the shortest secret that is redacted: a shorter one would occur in ordinary words.
_MIN_SECRET_LENGTH = 6

_current_job_id: ContextVar[str] = ContextVar("job", default="")


def configure_logging(settings: Settings, component: str) -> None:
    """Log to standard error in the format of the settings. component: name of this process, in every JSON line."""
    handler = logging.StreamHandler()
    handler.addFilter(_ContextFilter(component))
    handler.setFormatter(_RedactingFormatter(_create_formatter(settings), collect_secrets(settings)))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    if settings.log == "json":
        sys.excepthook = _log_uncaught


@contextmanager
def bind_job_id(job_id: str) -> Iterator[None]:
    """Add the job's id to every record that this thread logs while the block runs."""
    token = _current_job_id.set(job_id)
    try:
        yield
    finally:
        _current_job_id.reset(token)


def is_json_logging() -> bool:
    """Return whether logs are JSON lines, which a program reads from standard error."""
    return any(
        isinstance(handler.formatter, _RedactingFormatter) and handler.formatter.is_json
        for handler in logging.root.handlers
    )


def collect_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secrets to redact, longest first: those of the settings, and store credentials in the environment."""
    secrets = {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    for secret in list(secrets):
        password = urlsplit(secret).password if "://" in secret else None
        secrets |= {password, unquote(password)} if password else set()
    secrets |= {value for name, value in os.environ.items() if name.endswith(_SECRET_VARIABLE_SUFFIXES)}
    # Longest first: a secret that contains another must be replaced before the shorter one.
    return tuple(sorted((secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH), key=len, reverse=True))


def _create_formatter(settings: Settings) -> logging.Formatter:
    if settings.log == "text":
        return logging.Formatter(_TEXT_FORMAT)
    names = {"levelname": "level", "name": "logger"}
    return _JsonLinesFormatter(_JSON_FORMAT, rename_fields=names, timestamp="time", json_ensure_ascii=False)


class _JsonLinesFormatter(JsonFormatter):
    """Formats each record as one JSON object on one line."""

    def process_log_record(self, log_data: dict[str, object]) -> dict[str, object]:
        """Drop the fields that libraries add."""
        return {name: value for name, value in log_data.items() if name in _JSON_FIELDS}


class _ContextFilter(logging.Filter):
    """Adds component and job to a record, and drops the traceback of an expected error: its message says everything."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        record.part = self._component
        if not hasattr(record, "job") and (job := _current_job_id.get()):
            record.job = job
        if record.exc_info and _is_expected(record.exc_info[1]):
            record.exc_info = record.exc_text = None
        return True


def _is_expected(error: BaseException | None) -> bool:
    """Return whether an error happens in normal operation: unavailable store or broker, killed process, time limit."""
    while error is not None:
        if isinstance(error, (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED)) or type(
            error
        ).__module__.startswith("billiard."):
            return True
        error = error.__cause__
    return False


class _RedactingFormatter(logging.Formatter):
    """Wraps another formatter and replaces every secret in its lines, whatever logged it."""

    def __init__(self, inner: logging.Formatter, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._inner = inner
        self.is_json = isinstance(inner, JsonFormatter)
        self._secrets = dict.fromkeys(form for secret in secrets for form in (secret, json.dumps(secret)[1:-1]))

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, with every secret replaced by •••."""
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
