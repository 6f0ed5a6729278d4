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
KEY_FILE = "links.key"

#: Bytes of a token: the job's id, the hour in which it ends, and a seal (88 bits) that nobody guesses. Forty letters:
#: an address with them still fits a QR code of 33 × 33 modules, which a phone reads from across a room.
_ID_BYTES, _HOUR_BYTES, _MAC_BYTES = 16, 3, 11

_TOKEN = re.compile("[A-Za-z0-9_-]{40}", re.ASCII)

_MIN_KEY_BYTES = 32


@dataclass(frozen=True)
class ShareLink:
    """What a token says."""

    job_id: str
    #: Epoch seconds.
    expires_at: float

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return time.time() >= self.expires_at


class ShareLinks:
    """Makes and reads tokens with one key. Displays that share `links_secret` read each other's."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where there is no key and none can be written."""
        self._settings = settings
        secret = settings.links_secret
        self._key = hashlib.sha256(secret.get_secret_value().encode()).digest() if secret else _load_key(settings.data)

    def make_token(self, job_id: str, *, expires_at: float | None = None) -> str:
        """Return a token for a job that is good for `links_days`, or until the hour after `ends`, in epoch seconds."""
        if expires_at is None:
            expires_at = time.time() + 86_400 * self._settings.links_days
        payload = bytes.fromhex(job_id) + math.ceil(expires_at / 3600).to_bytes(_HOUR_BYTES)
        return base64.urlsafe_b64encode(payload + self._compute_mac(payload)).decode()

    def parse_token(self, token: str) -> ShareLink | None:
        """Return what a token says, whether or not its time is over; None where it was not made here."""
        if not _TOKEN.fullmatch(token):
            return None
        data = base64.urlsafe_b64decode(token)
        payload, seal = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(seal, self._compute_mac(payload)):
            return None
        return ShareLink(payload[:_ID_BYTES].hex(), 3600.0 * int.from_bytes(payload[_ID_BYTES:]))

    def make_url(self, job_id: str) -> str | None:
        """Return the address of a job's page for phones; None where phones cannot reach this display."""
        begin = resolve_public_url(self._settings)
        return begin and f"{begin}/t/{self.make_token(job_id)}"

    def _compute_mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, b"artdream link 1\0" + payload, "sha256")[:_MAC_BYTES]


def _load_key(data_folder: Path) -> bytes:
    """Return the key in a data folder, making one where there is none."""
    path = data_folder / KEY_FILE
    try:
        if not path.exists():
            data_folder.mkdir(parents=True, exist_ok=True)
            _create_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(
            f"The key of the links, {path}, cannot be used ({error.strerror}): set {ENV_PREFIX}LINKS_SECRET instead."
        ) from error
    if len(key) < _MIN_KEY_BYTES:
        raise ArtDreamError(f"The key of the links, {path}, is cut short: remove it, and earlier links end.")
    return key


def _create_key(path: Path) -> None:
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
