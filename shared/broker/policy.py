"""Protection: what an installation refuses to run with: a broker in the clear, an unchecked certificate, no secret."""

import ipaddress
import re
import ssl
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from shared.errors import ArtDreamError

#: How the settings that are spoken of begin.
_ENV_PREFIX = "ARTDREAM_"
_BROKER_URL_VARIABLE = f"{_ENV_PREFIX}BROKER_URL"

#: How the address of a broker begins.
BROKER_SCHEMES = ("redis://", "rediss://", "unix://")

#: How to have a secret that nobody knows.
PLACEHOLDER_HINT = "`openssl rand -hex 24` makes a good one"

#: What stands in examples, and what is tried first by whoever guesses. Several in a row are no better.
_COMMON_WORDS = (
    "admin|artdream|change|default|demo|dream|example|foobared|guest|here|hunter|insert|letmein|links|me|my|of|pass|"
    "passcode|password|passwort|placeholder|please|qwerty|qwertz|redis|replace|root|secret|some|test|the|this|token|"
    "valkey|welcome|with|your|xxx"
)
_COMMON_WORDS_PATTERN = re.compile(f"(?:{_COMMON_WORDS})+")

#: What is to be filled in.
_TEMPLATE_PATTERN = re.compile(r"<.*>|\[.*\]|\$?\{.*\}|\$\w+")

_DIGITS = "0123456789" * 4

#: Options of a certificate's check that would be none.
_REQUIRED_TLS_OPTIONS = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


def is_placeholder(secret: str) -> bool:
    """Tell whether a secret is one that everybody knows: an example's, a default, nothing at all."""
    text = secret.strip().casefold()
    if len(set(text)) < 2 or text in _DIGITS or _TEMPLATE_PATTERN.fullmatch(text):
        return True
    # A few digits at the end are what people add where they are made to.
    letters = re.sub(r"[\W_]", "", re.sub(r"\d{0,4}\W*$", "", text))
    return bool(_COMMON_WORDS_PATTERN.fullmatch(letters))


def validate_secret(secret: str) -> str:
    """Return a secret that is not a placeholder. Raises ValueError, which does not tell it."""
    if is_placeholder(secret):
        raise ValueError(f"is a placeholder that everybody knows: {PLACEHOLDER_HINT}")
    return secret


def require_secure_url(url: str, *, ca_file: Path | None = None, allow_insecure: bool = False) -> str:
    """Return a broker's address as it is used: over TLS the certificate and its host are checked.

    authority: file of the certificates that may have issued the broker's; None: those that this machine trusts.
    insecure: whether a broker on another machine may be spoken to in the clear, and without a password. Raises
    ArtDreamError for an address that is none, and for one that anybody on the way could read or speak through.
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
                "password and "
                f"sends jobs: let it begin with rediss://, or reach it through {_ENV_PREFIX}SSH "
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
    """Take an address apart. Several in one, which kombu understands, would not all be looked at."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  asked for its error
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
    """Tell whether what goes to a host never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_tls_verification(parts: SplitResult, ca_file: Path | None) -> str:
    """Return an address over TLS which demands that the certificate is checked: kombu alone would check nothing."""
    query = dict(parse_qsl(parts.query))
    for option, value in _REQUIRED_TLS_OPTIONS.items():
        if query.get(option, value).casefold() not in (value, f"cert_{value}"):
            raise ArtDreamError(
                f"{_BROKER_URL_VARIABLE} says {option}={query[option]}, and then anybody may pretend to be the "
                "broker: leave that "
                f"out, and name its authority in {_ENV_PREFIX}BROKER_CA."
            )
    if ca_file is not None:
        query["ssl_ca_certs"] = str(ca_file.expanduser().absolute())
    if file := query.get("ssl_ca_certs"):
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            why = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read ({error.strerror})"
            raise ArtDreamError(
                f"{file} {why}: {_ENV_PREFIX}BROKER_CA is the PEM file of the authority that issued the broker's."
            ) from error
    return urlunsplit(parts._replace(query=urlencode(query | _REQUIRED_TLS_OPTIONS)))
