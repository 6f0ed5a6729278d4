"""Protection: what an installation refuses to run with: a broker in the clear, an unchecked certificate, no secret."""

import ipaddress
import re
import ssl
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from shared.errors import ArtDreamError

#: How the settings that are spoken of begin.
_PREFIX = "ARTDREAM_"
_ADDRESS = f"{_PREFIX}BROKER_URL"

#: How the address of a broker begins.
SCHEMES = ("redis://", "rediss://", "unix://")

#: How to have a secret that nobody knows.
CHOOSE = "`openssl rand -hex 24` makes a good one"

#: What stands in examples, and what is tried first by whoever guesses. Several in a row are no better.
_KNOWN = (
    "admin|artdream|change|default|demo|dream|example|foobared|guest|here|hunter|insert|letmein|links|me|my|of|pass|"
    "passcode|password|passwort|placeholder|please|qwerty|qwertz|redis|replace|root|secret|some|test|the|this|token|"
    "valkey|welcome|with|your|xxx"
)
_WORDS = re.compile(f"(?:{_KNOWN})+")

#: What is to be filled in.
_BLANK = re.compile(r"<.*>|\[.*\]|\$?\{.*\}|\$\w+")

_DIGITS = "0123456789" * 4

#: Options of a certificate's check that would be none.
_UNCHECKED = {"ssl_cert_reqs": "required", "ssl_check_hostname": "true"}


def placeholder(secret: str) -> bool:
    """Tell whether a secret is one that everybody knows: an example's, a default, nothing at all."""
    text = secret.strip().casefold()
    if len(set(text)) < 2 or text in _DIGITS or _BLANK.fullmatch(text):
        return True
    # A few digits at the end are what people add where they are made to.
    letters = re.sub(r"[\W_]", "", re.sub(r"\d{0,4}\W*$", "", text))
    return bool(_WORDS.fullmatch(letters))


def own_secret(secret: str) -> str:
    """Return a secret that is not a placeholder. Raises ValueError, which does not tell it."""
    if placeholder(secret):
        raise ValueError(f"is a placeholder that everybody knows: {CHOOSE}")
    return secret


def protected(address: str, *, authority: Path | None = None, insecure: bool = False) -> str:
    """Return a broker's address as it is used: over TLS the certificate and its host are checked.

    authority: file of the certificates that may have issued the broker's; None: those that this machine trusts.
    insecure: whether a broker on another machine may be spoken to in the clear, and without a password. Raises
    ArtDreamError for an address that is none, and for one that anybody on the way could read or speak through.
    """
    if not address.startswith(SCHEMES):
        raise ArtDreamError(f"{_ADDRESS} is no broker's address: one begins with {' or '.join(SCHEMES)}.")
    parts = _split(address)
    password, local = unquote(parts.password or ""), _local(parts.hostname or "localhost")
    if password and placeholder(password):
        raise ArtDreamError(f"The password in {_ADDRESS} is a placeholder that everybody knows: {CHOOSE}.")
    if not local and not insecure:
        if parts.scheme == "redis":
            raise ArtDreamError(
                f"{_ADDRESS} leads to {parts.hostname} in the clear, where anybody on the way reads the password and "
                f"sends jobs: let it begin with rediss://, or reach it through {_PREFIX}SSH "
                f"({_PREFIX}INSECURE_BROKER=true runs all the same, for a network that nobody else is on)."
            )
        if not password:
            raise ArtDreamError(f"{_ADDRESS} has no password, and {parts.hostname} is another machine: {CHOOSE}.")
    if parts.scheme == "unix" and parts.query:
        raise ArtDreamError(f"{_ADDRESS} leads to a socket, and takes no options: queues are in its database 0.")
    return _checked(parts, authority) if parts.scheme == "rediss" else address


def _split(address: str) -> SplitResult:
    """Take an address apart. Several in one, which kombu understands, would not all be looked at."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  asked for its error
    except ValueError as error:
        raise ArtDreamError(
            f"{_ADDRESS} is no broker's address: write %XX for what is special in a password."
        ) from error
    if ";" in address or "+" in parts.scheme:
        raise ArtDreamError(f"{_ADDRESS} holds a semicolon: it is one address, and in a password write %3B.")
    return parts


def _local(host: str) -> bool:
    """Tell whether what goes to a host never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _checked(parts: SplitResult, authority: Path | None) -> str:
    """Return an address over TLS which demands that the certificate is checked: kombu alone would check nothing."""
    query = dict(parse_qsl(parts.query))
    for option, value in _UNCHECKED.items():
        if query.get(option, value).casefold() not in (value, f"cert_{value}"):
            raise ArtDreamError(
                f"{_ADDRESS} says {option}={query[option]}, and then anybody may pretend to be the broker: leave that "
                f"out, and name its authority in {_PREFIX}BROKER_CA."
            )
    if authority is not None:
        query["ssl_ca_certs"] = str(authority.expanduser().absolute())
    if file := query.get("ssl_ca_certs"):
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            why = "holds no certificate" if isinstance(error, ssl.SSLError) else f"cannot be read ({error.strerror})"
            raise ArtDreamError(
                f"{file} {why}: {_PREFIX}BROKER_CA is the PEM file of the authority that issued the broker's."
            ) from error
    return urlunsplit(parts._replace(query=urlencode(query | _UNCHECKED)))
