"""API keys: what programs show to use the HTTP API. Only hashes of them are kept, in the broker and in the store."""

import hashlib
import hmac
import logging
import re
import secrets
import time
from enum import StrEnum
from typing import Annotated, Literal, cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ArtDreamError
from shared.redis_keys import API_KEYS_KEY
from shared.storage.object_names import API_KEYS_PREFIX, api_key_name
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Begins every key, so that a secret scanner finds one that was published by mistake.
KEY_PREFIX = "artdream_"

#: Random bytes of the id and of the secret in a key. Nobody guesses 256 random bits, so a fast hash protects them: a
#: slow one is for passwords, and would let anybody keep the display busy with wrong ones.
_ID_BYTES, _SECRET_BYTES = 8, 32

_KEY_PATTERN = re.compile(rf"{KEY_PREFIX}([0-9a-f]{{16}})_([A-Za-z0-9_-]{{43}})", re.ASCII)

#: Field that marks the broker's keys as complete; a wiped broker does not have it.
_RESTORED_FIELD = "restored"

#: Photos that a key may submit in an hour unless it was created with another quota.
DEFAULT_QUOTA_PER_HOUR = 100


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"  # see its jobs, their events and their dreams
    SUBMIT = "submit"  # submit photos with the guests' recipes; cancel and retry its jobs
    BATCH = "batch"  # use the batch lane
    RECIPES = "recipes"  # use every installed recipe
    STORE = "store"  # submit photos that are in the store already
    ALL = "all"  # see the jobs of all keys, and with SUBMIT cancel and retry them


class ApiKey(BaseModel):
    """A key as it is kept."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    #: The submitter of the key's jobs.
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    #: Whose key it is, for the operator.
    name: Annotated[str, Field(pattern=r"^[\w][\w .@+-]{0,59}$")]
    scopes: tuple[Scope, ...]
    #: Photos that it may submit in an hour.
    quota_per_hour: Annotated[int, Field(ge=1)]
    #: SHA-256 of its secret.
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    #: Epoch seconds.
    created_at: float
    #: Epoch seconds; None: it is valid. A revoked key is kept, so that no display restores an earlier version of it.
    revoked_at: float | None = None


class ApiKeys:
    """The keys of an installation, in the broker for every request, and in the store, which restores a wiped broker.

    Methods raise RedisError and StoreError.
    """

    def __init__(self, client: redis.Redis, store: Store) -> None:
        self._client, self._store = client, store

    def create(self, name: str, scopes: tuple[Scope, ...], quota_per_hour: int) -> tuple[ApiKey, str]:
        """Create a key; return it, and its text, which is kept nowhere.

        Raises ArtDreamError if there is a valid key of that name, or it cannot be the name of one.
        """
        if any(key.name == name and key.revoked_at is None for key in self.list_keys()):
            raise ArtDreamError(f"There is a key “{name}” already: revoke it first, or choose another name.")
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        try:
            key = ApiKey(
                id=secrets.token_hex(_ID_BYTES),
                name=name,
                scopes=scopes,
                quota_per_hour=quota_per_hour,
                digest=_hash(secret),
                created_at=time.time(),
            )
        except ValidationError:
            raise ArtDreamError(
                f"“{name}” cannot be the name of a key: use up to 60 letters, digits, spaces and . @ + - _"
            ) from None
        self._store.put(api_key_name(key.id), key.model_dump_json(indent=1).encode())
        self._client.hset(API_KEYS_KEY, key.id, key.model_dump_json())
        return key, f"{KEY_PREFIX}{key.id}_{secret}"

    def list_keys(self) -> list[ApiKey]:
        """Return all keys of the store, revoked ones too, oldest first."""
        keys = filter(None, map(self._read, [entry.name for entry in self._store.list_objects(API_KEYS_PREFIX)]))
        return sorted(keys, key=lambda key: (key.created_at, key.id))

    def revoke(self, name: str) -> ApiKey:
        """Revoke a key, given by name or id, for all displays at once; return it. Revoking it again does no harm.

        Raises ArtDreamError if there is no such key.
        """
        named = [key for key in self.list_keys() if name in (key.name, key.id)]
        if not named:
            raise ArtDreamError(f"There is no key “{name}”: `artdream api-key list` lists them.")
        key = next((key for key in named if key.revoked_at is None), named[-1])
        revoked = key.model_copy(update={"revoked_at": key.revoked_at or time.time()})
        # The broker first, because it decides. If only that succeeds, the caller learns it and revokes the key again.
        self._client.hset(API_KEYS_KEY, key.id, revoked.model_dump_json())
        self._store.put(api_key_name(key.id), revoked.model_dump_json(indent=1).encode())
        return revoked

    def authenticate(self, text: str) -> ApiKey | None:
        """Return the valid key that a text is, None if it is none."""
        match = _KEY_PATTERN.fullmatch(text)
        if match is None:
            return None
        key_id, secret = match.groups()
        key = self.find(key_id)
        return key if key and hmac.compare_digest(key.digest, _hash(secret)) else None

    def find(self, key_id: str) -> ApiKey | None:
        """Return a valid key by its id, None if there is none. A wiped broker is restored first."""
        record, is_restored = self._client.hmget(API_KEYS_KEY, [key_id, _RESTORED_FIELD])
        if record is None and not is_restored:
            self._restore()
            record = self._client.hget(API_KEYS_KEY, key_id)
        key = _parse(cast("str | None", record), key_id)
        return key if key and key.revoked_at is None else None

    def _restore(self) -> None:
        """Add the keys of the store to a wiped broker. What the broker has already is newer, and stays."""
        keys = self.list_keys()
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.hsetnx(API_KEYS_KEY, key.id, key.model_dump_json())
        pipeline.hset(API_KEYS_KEY, _RESTORED_FIELD, "true")
        pipeline.execute()

    def _read(self, object_name: str) -> ApiKey | None:
        return _parse((self._store.get(object_name) or b"").decode(errors="replace"), object_name)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _parse(text: str | None, where: str) -> ApiKey | None:
    """Return a key as it was kept; None if there is none, or it is damaged, which is logged."""
    if not text:
        return None
    try:
        return ApiKey.model_validate_json(text)
    except ValidationError as error:
        logger.warning("The API key in %s cannot be read: %s", where, error.errors()[0]["msg"])
        return None
