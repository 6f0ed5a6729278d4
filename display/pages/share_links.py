"""Share links: short signed tokens that expire, each for one dream. They are not stored anywhere."""

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

from shared.durability import flush_file
from shared.errors import ArtDreamError
from shared.private_folder import create_private_folder
from shared.public_url import resolve_public_url
from shared.settings import ENV_PREFIX, Settings

#: Name of the file in the data folder with the signing key, used if no setting provides one.
KEY_FILE = "links.key"

#: Bytes of a token: job id, hour of expiry, and a MAC truncated to 88 bits. In base64 these are forty characters: the
#: URL still fits a QR code of 33 × 33 modules, which a phone reads from across a room.
_ID_BYTES, _HOUR_BYTES, _MAC_BYTES = 16, 3, 11

_TOKEN = re.compile("[A-Za-z0-9_-]{40}", re.ASCII)

_MIN_KEY_BYTES = 32


@dataclass(frozen=True)
class ShareLink:
    """The content of a valid token."""

    job_id: str
    #: Epoch seconds.
    expires_at: float

    @property
    def is_expired(self) -> bool:
        """Whether the time of expiry has passed."""
        return time.time() >= self.expires_at


class ShareLinks:
    """Signs and verifies tokens with one key. Displays with the same `links_secret` accept each other's tokens."""

    def __init__(self, settings: Settings) -> None:
        """Load the key. Raises ArtDreamError if there is none and none can be written."""
        self._settings = settings
        secret = settings.links_secret
        self._key = hashlib.sha256(secret.get_secret_value().encode()).digest() if secret else _load_key(settings.data)

    def make_token(self, job_id: str, *, expires_at: float | None = None) -> str:
        """Return a token for a job.

        expires_at: epoch seconds, rounded up to the hour; None: `links_days` from now.
        """
        if expires_at is None:
            expires_at = time.time() + 86_400 * self._settings.links_days
        payload = bytes.fromhex(job_id) + math.ceil(expires_at / 3600).to_bytes(_HOUR_BYTES)
        return base64.urlsafe_b64encode(payload + self._compute_mac(payload)).decode()

    def parse_token(self, token: str) -> ShareLink | None:
        """Return the content of a token, expired or not, None if it was not signed with this key."""
        if not _TOKEN.fullmatch(token):
            return None
        data = base64.urlsafe_b64decode(token)
        payload, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._compute_mac(payload)):
            return None
        return ShareLink(payload[:_ID_BYTES].hex(), 3600.0 * int.from_bytes(payload[_ID_BYTES:]))

    def make_url(self, job_id: str) -> str | None:
        """Return the URL of a job's share page, None if phones cannot reach this display."""
        public_url = resolve_public_url(self._settings)
        return public_url and f"{public_url}/t/{self.make_token(job_id)}"

    def derive_secret(self, purpose: str) -> bytes:
        """Return a 32-byte secret for another purpose; it does not reveal the key."""
        return hmac.digest(self._key, b"artdream secret 1\0" + purpose.encode(), "sha256")

    def _compute_mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, b"artdream link 1\0" + payload, "sha256")[:_MAC_BYTES]


def _load_key(data_folder: Path) -> bytes:
    """Return the key in a data folder; create it if there is none."""
    path = data_folder / KEY_FILE
    try:
        if not path.exists():
            create_private_folder(data_folder)
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
    """Write a new key atomically, readable by this user only. A key that another process wrote first is kept."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            flush_file(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
