"""Rejected messages are counted by their reasons."""

import redis

from shared.jobs.rejected_messages import (
    RejectionReason,
    count_rejection,
    format_rejection_counts,
    read_rejection_counts,
)
from shared.redis_keys import REJECTED_KEY


def test_each_rejection_counts_for_its_reason(client: redis.Redis) -> None:
    assert read_rejection_counts(client) == {}
    for reason in (RejectionReason.NOT_JSON, RejectionReason.WRONG_TASK, RejectionReason.NOT_JSON):
        count_rejection(client, reason)
    counts = read_rejection_counts(client)
    assert counts == {RejectionReason.NOT_JSON: 2, RejectionReason.WRONG_TASK: 1}
    assert format_rejection_counts(counts) == "2 × is not JSON, 1 × names another task than a dream"


def test_what_else_is_among_the_counts_is_passed_over(client: redis.Redis) -> None:
    client.hset(REJECTED_KEY, mapping={RejectionReason.NOT_JSON: "many", "no reason": 3, RejectionReason.TOO_LARGE: 1})
    assert read_rejection_counts(client) == {RejectionReason.TOO_LARGE: 1}
