"""Links that take one dream home: short, signed, and good for some time. Nothing is kept of them."""

import base64
import hashlib
import hmac
import math
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError
from shared.public_url import resolve_public_url
from shared.settings import ENV_PREFIX, Settings

#: Name of the file in the data folder that holds the key where no setting does.
FILE = "links.key"

#: Bytes of a token: the job's id, the hour in which it ends, and a seal (88 bits) that nobody guesses. Forty letters:
#: an address with them still fits a QR code of 33 × 33 modules, which a phone reads from across a room.
_ID, _HOUR, _SEAL = 16, 3, 11

_TOKEN = re.compile("[A-Za-z0-9_-]{40}", re.ASCII)

_SHORTEST_KEY = 32


@dataclass(frozen=True)
class Link:
    """What a token says."""

    job_id: str
    #: Epoch seconds.
    ends: float

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return time.time() >= self.ends


class Links:
    """Makes and reads tokens with one key. Displays that share `links_secret` read each other's."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where there is no key and none can be written."""
        self._settings = settings
        secret = settings.links_secret
        self._key = hashlib.sha256(secret.get_secret_value().encode()).digest() if secret else _kept(settings.data)

    def token(self, job_id: str, *, ends: float | None = None) -> str:
        """Return a token for a job that is good for `links_days`, or until the hour after `ends`, in epoch seconds."""
        if ends is None:
            ends = time.time() + 86_400 * self._settings.links_days
        payload = bytes.fromhex(job_id) + math.ceil(ends / 3600).to_bytes(_HOUR)
        return base64.urlsafe_b64encode(payload + self._seal(payload)).decode()

    def read(self, token: str) -> Link | None:
        """Return what a token says, whether or not its time is over; None where it was not made here."""
        if not _TOKEN.fullmatch(token):
            return None
        data = base64.urlsafe_b64decode(token)
        payload, seal = data[:-_SEAL], data[-_SEAL:]
        if not hmac.compare_digest(seal, self._seal(payload)):
            return None
        return Link(payload[:_ID].hex(), 3600.0 * int.from_bytes(payload[_ID:]))

    def url(self, job_id: str) -> str | None:
        """Return the address of a job's page for phones; None where phones cannot reach this display."""
        begin = resolve_public_url(self._settings)
        return begin and f"{begin}/t/{self.token(job_id)}"

    def _seal(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, b"artdream link 1\0" + payload, "sha256")[:_SEAL]


def _kept(data: Path) -> bytes:
    """Return the key in a data folder, making one where there is none."""
    path = data / FILE
    try:
        if not path.exists():
            data.mkdir(parents=True, exist_ok=True)
            _make(path)
        key = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(
            f"The key of the links, {path}, cannot be used ({error.strerror}): set {ENV_PREFIX}LINKS_SECRET instead."
        ) from error
    if len(key) < _SHORTEST_KEY:
        raise ArtDreamError(f"The key of the links, {path}, is cut short: remove it, and earlier links end.")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all, for this user only; where another was quicker, that one stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
