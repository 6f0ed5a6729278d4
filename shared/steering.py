"""Steering: what the operator decides while the installation runs, in Redis, where every part reads it."""

import json
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.broker import PREFIX
from shared.events import STREAM, STREAM_LENGTH, Steered
from shared.settings import Settings

#: A hash of JSON values by field. What it lacks is as the settings say.
STEERING = f"{PREFIX}steering"


class Steering(BaseModel):
    """How the installation runs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Whether every dream waits for the operator before anybody sees it.
    approval: bool = False
    #: Whether photos wait where they are.
    paused: bool = False
    #: Recipes that photos from the inbox are dreamt with, turn about; none: the one of the settings.
    recipes: tuple[str, ...] = ()
    #: Days after which a dream is deleted; 0: never.
    retention_days: int = Field(0, ge=0)
    #: When the current event of the house began, in epoch seconds: wall and gallery show what was dreamt since.
    opened_at: float = 0.0


def read_steering(client: redis.Redis, settings: Settings) -> Steering:
    """Return how the installation is steered; a field that cannot be read is as the settings say. Raises RedisError."""
    steering = Steering(approval=settings.approval, retention_days=settings.retention_days)
    for field, text in cast("dict[str, str]", client.hgetall(STEERING)).items():
        try:
            steering = Steering.model_validate({**steering.model_dump(), field: json.loads(text)})
        except (ValidationError, ValueError):  # of another version, or damaged
            continue
    return steering


def steer(client: redis.Redis, **decided: object) -> None:
    """Change fields of the steering, and tell every part. Raises ValidationError, and RedisError."""
    checked = Steering.model_validate(decided).model_dump(mode="json", include=set(decided))
    pipeline = client.pipeline()
    pipeline.hset(STEERING, mapping={field: json.dumps(value) for field, value in checked.items()})
    pipeline.xadd(STREAM, {"event": Steered().model_dump_json()}, maxlen=STREAM_LENGTH, approximate=True)
    pipeline.execute()
