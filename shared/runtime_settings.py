"""Steering: what the operator decides while it runs: in Redis for every part, and noted in the store."""

import json
import logging
from collections.abc import Mapping
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.broker.client import PREFIX
from shared.jobs.events import STREAM, STREAM_LENGTH, Steered
from shared.settings import Settings
from shared.storage.object_names import STEERING_NOTE
from shared.storage.store import Store

_LOG = logging.getLogger(__name__)

#: A hash of JSON values by field. What it lacks is as the settings say.
STEERING = f"{PREFIX}steering"

#: The field that says that the broker has heard what the store has noted: one that lost its memory has not.
SETTLED = "settled"


class Steering(BaseModel):
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


def read_steering(client: redis.Redis, settings: Settings) -> Steering:
    """Return how the installation is steered; a field that cannot be read is as the settings say. Raises RedisError."""
    return steered(client, settings) or _unsteered(settings)


def steered(client: redis.Redis, settings: Settings) -> Steering | None:
    """Return the same; None where the broker knows nothing of a steering: one that was wiped does not."""
    fields = cast("dict[str, str]", client.hgetall(STEERING))
    return _unsteered(settings).model_copy(update=_decided(fields)) if fields else None


def _unsteered(settings: Settings) -> Steering:
    return Steering(approval=settings.approval, retention_days=settings.retention_days)


def steer(client: redis.Redis, **decided: object) -> None:
    """Change fields of the steering, and tell every part. Raises ValidationError, and RedisError."""
    checked = Steering.model_validate(decided).model_dump(mode="json", include=set(decided))
    pipeline = client.pipeline()
    pipeline.hset(STEERING, mapping={field: json.dumps(value) for field, value in checked.items()})
    _tell(pipeline)
    pipeline.execute()


def settle(client: redis.Redis, store: Store) -> bool:
    """Tell a broker that lost its memory what the store has noted; False where it had not.

    What was decided since then stays. A note that cannot be read asks for approval: whoever wrote it may have. Raises
    RedisError and StoreError, and has then changed nothing.
    """
    if client.hexists(STEERING, SETTLED):
        return False
    noted = _noted(store.get(STEERING_NOTE))
    pipeline = client.pipeline()
    for field, text in noted.items():
        pipeline.hsetnx(STEERING, field, text)
    pipeline.hset(STEERING, SETTLED, "true")
    if noted:
        _tell(pipeline)
    pipeline.execute()
    return True


def note(client: redis.Redis, store: Store, noted: str = "") -> str:
    """Write down in the store what was decided, and return it. noted: what it returned before, "" at first.

    What a wiped broker does not know is not written. Raises RedisError and StoreError.
    """
    fields = cast("dict[str, str]", client.hgetall(STEERING))
    if SETTLED not in fields:
        return noted
    checked = Steering(**_decided(fields)).model_dump(mode="json", include=set(fields))
    text = json.dumps(checked, indent=1)
    if text != noted and text.encode() != (store.get(STEERING_NOTE) or b"{}"):
        store.put(STEERING_NOTE, text.encode())
    return text


def _decided(fields: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that can be read."""
    decided: dict[str, object] = {}
    for field in fields.keys() & Steering.model_fields.keys():
        try:
            decided[field] = getattr(Steering.model_validate({field: json.loads(fields[field])}), field)
        except (ValidationError, ValueError):  # of another version, or damaged
            continue
    return decided


def _noted(text: bytes | None) -> dict[str, str]:
    """Return the fields of a note, as the broker keeps them."""
    if text is None:
        return {}
    try:
        noted = {field: json.dumps(value) for field, value in json.loads(text).items()}
        if "approval" in noted and "approval" not in _decided(noted):
            raise ValueError("approval is neither true nor false")
    except (ValueError, AttributeError) as error:
        _LOG.warning("%s in the store cannot be read, so every dream waits for approval: %s", STEERING_NOTE, error)
        return {"approval": "true"}
    return noted


def _tell(pipeline: "redis.client.Pipeline") -> None:
    pipeline.xadd(STREAM, {"event": Steered().model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)
