"""Broker policy: refuse a remote broker without TLS or password, unverified certificates, and placeholder secrets."""

import ipaddress
import re
import ssl
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from shared.errors import ArtDreamError

#: Prefix of the environment variables in error messages.
_ENV_PREFIX = "ARTDREAM_"
_BROKER_URL_VARIABLE = f"{_ENV_PREFIX}BROKER_URL"

#: Schemes of broker URLs.
BROKER_SCHEMES = ("redis://", "rediss://", "unix://")

#: How to generate a secret; part of error messages.
PLACEHOLDER_HINT = "`openssl rand -hex 24` makes a good one"

#: Words of examples and of common passwords. A secret made only of several of them is a placeholder too.
_COMMON_WORDS = (
    "admin|artdream|change|default|demo|dream|example|foobared|guest|here|hunter|insert|letmein|links|me|my|of|pass|"
    "passcode|password|passwort|placeholder|please|qwerty|qwertz|redis|replace|root|secret|some|test|the|this|token|"
    "valkey|welcome|with|your|xxx"
)
_COMMON_WORDS_PATTERN = re.compile(f"(?:{_COMMON_WORDS})+")

#: Template fields that were not filled in.
_TEMPLATE_PATTERN = re.compile(r"<.*>|\[.*\]|\$?\{.*\}|\$\w+")

_DIGITS = "0123456789" * 4

#: TLS options that a broker URL must not weaken.
_REQUIRED_TLS_OPTIONS = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


def is_placeholder(secret: str) -> bool:
    """Return whether a secret is publicly known: an example, a default, or empty."""
    text = secret.strip().casefold()
    if len(set(text)) < 2 or text in _DIGITS or _TEMPLATE_PATTERN.fullmatch(text):
        return True
    # People append a few digits if a form demands them.
    letters = re.sub(r"[\W_]", "", re.sub(r"\d{0,4}\W*$", "", text))
    return bool(_COMMON_WORDS_PATTERN.fullmatch(letters))


def validate_secret(secret: str) -> str:
    """Return a secret unchanged. Raises ValueError, without the secret in its text, if it is a placeholder."""
    if is_placeholder(secret):
        raise ValueError(f"is a placeholder that everybody knows: {PLACEHOLDER_HINT}")
    return secret


def require_secure_url(url: str, *, ca_file: Path | None = None, allow_insecure: bool = False) -> str:
    """Return a broker's URL to connect to; over TLS it demands verification of the certificate and its host.

    ca_file: PEM file of the authorities that may have issued the certificate; None: those that this machine trusts.
    allow_insecure: allow a broker on another machine without TLS or password. Raises ArtDreamError if the URL is
    invalid or not secure, or if its password is a placeholder.
    """
    if not url.startswith(BROKER_SCHEMES):
        raise ArtDreamError(
            f"{_BROKER_URL_VARIABLE} is no broker's address: one begins with {' or '.join(BROKER_SCHEMES)}."
        )
    parts = _split_url(url)
    password, local = unquote(parts.password or ""), _is_local(parts.hostname or "localhost")
    if password and is_placeholder(password):
        raise ArtDreamError(
            f"The password in {_BROKER_URL_VARIABLE} is a placeholder that everybody knows: {PLACEHOLDER_HINT}."
        )
    if not local and not allow_insecure:
        if parts.scheme == "redis":
            raise ArtDreamError(
                f"{_BROKER_URL_VARIABLE} leads to {parts.hostname} in the clear, where anybody on the way reads the "
                f"password and sends jobs: let it begin with rediss://, or reach it through {_ENV_PREFIX}SSH "
                f"({_ENV_PREFIX}INSECURE_BROKER=true runs all the same, for a network that nobody else is on)."
            )
        if not password:
            raise ArtDreamError(
                f"{_BROKER_URL_VARIABLE} has no password, and {parts.hostname} is another machine: {PLACEHOLDER_HINT}."
            )
    if parts.scheme == "unix" and parts.query:
        raise ArtDreamError(
            f"{_BROKER_URL_VARIABLE} leads to a socket, and takes no options: queues are in its database 0."
        )
    return _require_tls_verification(parts, ca_file) if parts.scheme == "rediss" else url


def _split_url(url: str) -> SplitResult:
    """Parse a URL. Raises ArtDreamError if it is invalid, or holds several, which kombu would accept unchecked."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  raises ValueError if invalid
    except ValueError as error:
        raise ArtDreamError(
            f"{_BROKER_URL_VARIABLE} is no broker's address: write %XX for what is special in a password."
        ) from error
    if ";" in url or "+" in parts.scheme:
        raise ArtDreamError(
            f"{_BROKER_URL_VARIABLE} holds a semicolon: it is one address, and in a password write %3B."
        )
    return parts


def _is_local(host: str) -> bool:
    """Return whether traffic to a host never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_tls_verification(parts: SplitResult, ca_file: Path | None) -> str:
    """Return a TLS URL that demands verification of the certificate; by default kombu verifies nothing."""
    query = dict(parse_qsl(parts.query))
    for option, value in _REQUIRED_TLS_OPTIONS.items():
        if query.get(option, value).casefold() not in (value, f"cert_{value}"):
            raise ArtDreamError(
                f"{_BROKER_URL_VARIABLE} says {option}={query[option]}, and then anybody may pretend to be the "
                f"broker: leave that out, and name its authority in {_ENV_PREFIX}BROKER_CA."
            )
    if ca_file is not None:
        query["ssl_ca_certs"] = str(ca_file.expanduser().absolute())
    if file := query.get("ssl_ca_certs"):
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            problem = (
                "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read ({error.strerror})"
            )
            raise ArtDreamError(
                f"{file} {problem}: {_ENV_PREFIX}BROKER_CA is the PEM file of the authority that issued the broker's."
            ) from error
    return urlunsplit(parts._replace(query=urlencode(query | _REQUIRED_TLS_OPTIONS)))
