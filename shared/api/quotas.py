"""Quotas: how many photos a key may submit in an hour, counted in the broker for all displays together."""

from importlib.resources import files
from typing import NamedTuple, cast

import redis

from shared.api.keys import ApiKey
from shared.redis_keys import api_quota_key

#: Seconds of a quota's window, which begins with the first submission in it.
QUOTA_WINDOW_SECONDS = 3600

_TAKE_QUOTA_SCRIPT = files("shared.api").joinpath("lua", "take_quota.lua").read_text(encoding="utf-8")


class QuotaState(NamedTuple):
    """A key's quota after a request."""

    #: Whether the submission is within it.
    is_granted: bool
    #: Submissions that are left in the window.
    remaining: int
    #: Seconds until the window ends.
    reset_seconds: int


class Quotas:
    """The quotas of all keys. Each step is atomic. Methods raise RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._script = client.register_script(_TAKE_QUOTA_SCRIPT)

    def take(self, key: ApiKey) -> QuotaState:
        """Count a submission of a key, if that is within its quota."""
        return self._run(key, 1)

    def give_back(self, key: ApiKey) -> QuotaState:
        """Take back the count of a submission that brought nothing new."""
        return self._run(key, -1)

    def _run(self, key: ApiKey, change: int) -> QuotaState:
        arguments = [key.quota_per_hour, QUOTA_WINDOW_SECONDS, change]
        granted, remaining, seconds = cast("list[int]", self._script(keys=[api_quota_key(key.id)], args=arguments))
        return QuotaState(bool(granted), remaining, seconds)
