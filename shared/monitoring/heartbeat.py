"""Heartbeats: which processes of the installation are alive, and what each is doing."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import cast

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.redis_keys import HEARTBEATS, heartbeat_key
from shared.timing import DEFAULT_TIMING, Timing

#: Path at which a display answers health probes, with status 200 or 503.
DISPLAY_HEALTH_PATH = "/healthz"


class Component(StrEnum):
    """A kind of process."""

    PRODUCER = "producer"
    WORKER = "worker"
    DISPLAY = "display"
    PRINTER = "printer"
    WEBHOOKS = "webhooks"


class Heartbeat(BaseModel):
    """The last state that one process announced."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    part: Component
    name: str
    #: One word or two: “warming up”, “ready”, “dreaming”, “failed”.
    state: str
    detail: str = ""
    #: Epoch seconds: the start of a worker's state; the start of the process for other components.
    since: float
    #: The lanes that a worker consumes; empty: all.
    lanes: tuple[str, ...] = ()


class HeartbeatRegistry:
    """The live processes, in Redis; an entry expires when its process stops announcing. Methods raise RedisError."""

    def __init__(self, client: redis.Redis, timing: Timing = DEFAULT_TIMING) -> None:
        self._client = client
        self._ttl_ms = int(1000 * timing.heartbeat_ttl_seconds)

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
        """Announce that a process is alive and what it does; valid for `Timing.heartbeat_ttl_seconds`.

        since: epoch seconds at which a worker's state or another component's process began; None: now.
        """
        heartbeat = Heartbeat(
            part=component, name=name, state=state, detail=detail, since=since or time.time(), lanes=tuple(lanes)
        )
        key = heartbeat_key(component, name)
        pipeline = self._client.pipeline()
        pipeline.set(key, heartbeat.model_dump_json(), px=self._ttl_ms)
        pipeline.sadd(HEARTBEATS, key)
        pipeline.execute()

    def remove(self, component: Component, name: str) -> None:
        """Remove a process that stops."""
        key = heartbeat_key(component, name)
        pipeline = self._client.pipeline()
        pipeline.delete(key)
        pipeline.srem(HEARTBEATS, key)
        pipeline.execute()

    def list_heartbeats(self) -> list[Heartbeat]:
        """Return the heartbeats of all live processes, sorted by component and name."""
        keys = sorted(cast("set[str]", self._client.smembers(HEARTBEATS)))
        texts = cast("list[str | None]", self._client.mget(keys)) if keys else []
        if expired := [key for key, text in zip(keys, texts, strict=True) if text is None]:
            self._client.srem(HEARTBEATS, *expired)
        heartbeats = []
        for text in filter(None, texts):
            try:
                heartbeats.append(Heartbeat.model_validate_json(text))
            except ValidationError:  # it is of another version
                continue
        return heartbeats
