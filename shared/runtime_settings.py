"""Steering: what the operator decides while it runs: in Redis for every part, and noted in the store."""

import json
import logging
from collections.abc import Mapping
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.broker.client import KEY_PREFIX
from shared.jobs.events import STREAM, STREAM_LENGTH, RuntimeSettingsChanged
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: A hash of JSON values by field. What it lacks is as the settings say.
RUNTIME_SETTINGS_KEY = f"{KEY_PREFIX}steering"

#: The field that says that the broker has heard what the store has noted: one that lost its memory has not.
INITIALIZED_FIELD = "settled"


class RuntimeSettings(BaseModel):
    """How the installation runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Whether every dream waits for the operator before anybody sees it.
    approval: bool = False
    #: Whether photos wait where they are.
    paused: bool = False
    #: Recipes of which photos from the inbox get one each; none: those of the settings.
    recipes: tuple[str, ...] = ()
    #: Days after which a dream is deleted; 0: never.
    retention_days: int = Field(0, ge=0)
    #: When the current event of the house began, in epoch seconds: wall and gallery show what was dreamt since.
    opened_at: float = 0.0


def read_runtime_settings(client: redis.Redis, settings: Settings) -> RuntimeSettings:
    """Return how the installation is steered; a field that cannot be read is as the settings say. Raises RedisError."""
    return find_runtime_settings(client, settings) or _default_runtime_settings(settings)


def find_runtime_settings(client: redis.Redis, settings: Settings) -> RuntimeSettings | None:
    """Return the same; None where the broker knows nothing of a steering: one that was wiped does not."""
    fields = cast("dict[str, str]", client.hgetall(RUNTIME_SETTINGS_KEY))
    return _default_runtime_settings(settings).model_copy(update=_parse_fields(fields)) if fields else None


def _default_runtime_settings(settings: Settings) -> RuntimeSettings:
    return RuntimeSettings(approval=settings.approval, retention_days=settings.retention_days)


def update_runtime_settings(client: redis.Redis, **changes: object) -> None:
    """Change fields of the steering, and tell every part. Raises ValidationError, and RedisError."""
    checked = RuntimeSettings.model_validate(changes).model_dump(mode="json", include=set(changes))
    pipeline = client.pipeline()
    pipeline.hset(RUNTIME_SETTINGS_KEY, mapping={field: json.dumps(value) for field, value in checked.items()})
    _append_change_event(pipeline)
    pipeline.execute()


def initialize_runtime_settings(client: redis.Redis, store: Store) -> bool:
    """Tell a broker that lost its memory what the store has noted; False where it had not.

    What was decided since then stays. A note that cannot be read asks for approval: whoever wrote it may have. Raises
    RedisError and StoreError, and has then changed nothing.
    """
    if client.hexists(RUNTIME_SETTINGS_KEY, INITIALIZED_FIELD):
        return False
    noted = _parse_persisted(store.get(RUNTIME_SETTINGS_NAME))
    pipeline = client.pipeline()
    for field, text in noted.items():
        pipeline.hsetnx(RUNTIME_SETTINGS_KEY, field, text)
    pipeline.hset(RUNTIME_SETTINGS_KEY, INITIALIZED_FIELD, "true")
    if noted:
        _append_change_event(pipeline)
    pipeline.execute()
    return True


def persist_runtime_settings(client: redis.Redis, store: Store, previous: str = "") -> str:
    """Write down in the store what was decided, and return it. noted: what it returned before, "" at first.

    What a wiped broker does not know is not written. Raises RedisError and StoreError.
    """
    fields = cast("dict[str, str]", client.hgetall(RUNTIME_SETTINGS_KEY))
    if INITIALIZED_FIELD not in fields:
        return previous
    checked = RuntimeSettings(**_parse_fields(fields)).model_dump(mode="json", include=set(fields))
    text = json.dumps(checked, indent=1)
    if text != previous and text.encode() != (store.get(RUNTIME_SETTINGS_NAME) or b"{}"):
        store.put(RUNTIME_SETTINGS_NAME, text.encode())
    return text


def _parse_fields(fields: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that can be read."""
    decided: dict[str, object] = {}
    for field in fields.keys() & RuntimeSettings.model_fields.keys():
        try:
            decided[field] = getattr(RuntimeSettings.model_validate({field: json.loads(fields[field])}), field)
        except (ValidationError, ValueError):  # of another version, or damaged
            continue
    return decided


def _parse_persisted(text: bytes | None) -> dict[str, str]:
    """Return the fields of a note, as the broker keeps them."""
    if text is None:
        return {}
    try:
        noted = {field: json.dumps(value) for field, value in json.loads(text).items()}
        if "approval" in noted and "approval" not in _parse_fields(noted):
            raise ValueError("approval is neither true nor false")
    except (ValueError, AttributeError) as error:
        logger.warning(
            "%s in the store cannot be read, so every dream waits for approval: %s", RUNTIME_SETTINGS_NAME, error
        )
        return {"approval": "true"}
    return noted


def _append_change_event(pipeline: "redis.client.Pipeline") -> None:
    pipeline.xadd(STREAM, {"event": RuntimeSettingsChanged().model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)
