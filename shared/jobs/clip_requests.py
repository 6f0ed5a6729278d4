"""Clip requests: formats of a clip that guests asked for, to be made by workers that have nothing else to do."""

import contextlib
import time
from enum import StrEnum

import redis

from shared.redis_keys import CLIP_REQUESTS
from shared.storage.object_names import gif_name, square_name

#: Requests that may wait; beyond that, further ones are refused.
MAX_WAITING = 500


class ClipFormat(StrEnum):
    """A format that is made only if a guest asks for it. Its value is the name of the file."""

    GIF = "clip.gif"
    SQUARE = "square.mp4"

    def object_name(self, job_id: str) -> str:
        """Return the name in the store of a job's clip in this format."""
        return {ClipFormat.GIF: gif_name, ClipFormat.SQUARE: square_name}[self](job_id)


def add_clip_request(client: redis.Redis, job_id: str, clip_format: ClipFormat) -> bool:
    """Let a clip be made; once, however often it is asked for. False if too many wait. Raises RedisError.

    A request that is lost, with the broker or a worker, is made again by its guest.
    """
    if client.zcount(CLIP_REQUESTS, "-inf", "+inf") >= MAX_WAITING:
        return False
    client.zadd(CLIP_REQUESTS, {f"{job_id} {clip_format}": time.time()}, nx=True)
    return True


def take_clip_request(client: redis.Redis) -> tuple[str, ClipFormat] | None:
    """Take the request that has waited longest, which nobody else gets; None if none waits. Raises RedisError."""
    while members := client.zrange(CLIP_REQUESTS, 0, 0):
        member = str(members[0])
        if not client.zrem(CLIP_REQUESTS, member):  # another worker was faster
            continue
        job_id, _, name = member.partition(" ")
        with contextlib.suppress(ValueError):  # of a later version
            return job_id, ClipFormat(name)
    return None
