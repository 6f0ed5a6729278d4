"""Presence: what parts of the installation are alive, and what each is doing."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.broker.client import PREFIX

#: Seconds after which a part that was not heard of counts as gone. Announce at least three times as often.
LIFETIME = 15


class Part(StrEnum):
    """A kind of process."""

    PRODUCER = "producer"
    WORKER = "worker"
    DISPLAY = "display"


class Presence(BaseModel):
    """What one process last said of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    part: Part
    name: str
    #: One word or two: “warming up”, “ready”, “dreaming”.
    state: str
    detail: str = ""
    since: float
    #: The lanes that a worker serves; none: all.
    lanes: tuple[str, ...] = ()


class Register:
    """The list of those present, in Redis; entries die with their processes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def announce(
        self,
        part: Part,
        name: str,
        state: str,
        detail: str = "",
        *,
        since: float | None = None,
        lanes: Sequence[str] = (),
    ) -> None:
        """Say that a process is there and what it does; holds for LIFETIME seconds."""
        presence = Presence(
            part=part, name=name, state=state, detail=detail, since=since or time.time(), lanes=tuple(lanes)
        )
        self._client.set(_key(part, name), presence.model_dump_json(), ex=LIFETIME)

    def leave(self, part: Part, name: str) -> None:
        """Take a process off the list."""
        self._client.delete(_key(part, name))

    def present(self) -> list[Presence]:
        """List who is there, by part and name."""
        keys = sorted(cast("list[str]", list(self._client.scan_iter(f"{PREFIX}present:*", count=1000))))
        found = []
        for text in cast("list[str | None]", self._client.mget(keys)) if keys else []:
            try:
                found.append(Presence.model_validate_json(text or ""))
            except ValidationError:  # it left between the two commands, or is of another version
                continue
        return found


def _key(part: Part, name: str) -> str:
    return f"{PREFIX}present:{part}:{name}"
