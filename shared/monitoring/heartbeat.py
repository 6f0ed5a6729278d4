"""Presence: what parts of the installation are alive, and what each is doing."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.broker.client import KEY_PREFIX

#: Seconds after which a part that was not heard of counts as gone. Announce at least three times as often.
HEARTBEAT_TTL_SECONDS = 15


class Component(StrEnum):
    """A kind of process."""

    PRODUCER = "producer"
    WORKER = "worker"
    DISPLAY = "display"


class Heartbeat(BaseModel):
    """What one process last said of itself."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    part: Component
    name: str
    #: One word or two: “warming up”, “ready”, “dreaming”.
    state: str
    detail: str = ""
    since: float
    #: The lanes that a worker serves; none: all.
    lanes: tuple[str, ...] = ()


class HeartbeatRegistry:
    """The list of those present, in Redis; entries die with their processes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def announce(
        self,
        component: Component,
        name: str,
        state: str,
        detail: str = "",
        *,
        since: float | None = None,
        lanes: Sequence[str] = (),
    ) -> None:
        """Say that a process is there and what it does; holds for LIFETIME seconds."""
        presence = Heartbeat(
            part=component, name=name, state=state, detail=detail, since=since or time.time(), lanes=tuple(lanes)
        )
        self._client.set(_heartbeat_key(component, name), presence.model_dump_json(), ex=HEARTBEAT_TTL_SECONDS)

    def remove(self, component: Component, name: str) -> None:
        """Take a process off the list."""
        self._client.delete(_heartbeat_key(component, name))

    def list_heartbeats(self) -> list[Heartbeat]:
        """List who is there, by part and name."""
        keys = sorted(cast("list[str]", list(self._client.scan_iter(f"{KEY_PREFIX}present:*", count=1000))))
        found = []
        for text in cast("list[str | None]", self._client.mget(keys)) if keys else []:
            try:
                found.append(Heartbeat.model_validate_json(text or ""))
            except ValidationError:  # it left between the two commands, or is of another version
                continue
        return found


def _heartbeat_key(component: Component, name: str) -> str:
    return f"{KEY_PREFIX}present:{component}:{name}"
