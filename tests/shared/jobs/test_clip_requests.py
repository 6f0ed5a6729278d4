"""Clip requests: what a guest asks for is made once, by one worker, and in the order of asking."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from shared.broker.client import connect
from shared.jobs import clip_requests
from shared.jobs.clip_requests import ClipFormat, add_clip_request, take_clip_request
from shared.redis_keys import CLIP_REQUESTS


def test_requests_are_taken_once_each_in_the_order_of_asking(client: redis.Redis) -> None:
    for job_id, clip_format in (("b", ClipFormat.SQUARE), ("a", ClipFormat.GIF), ("b", ClipFormat.SQUARE)):
        assert add_clip_request(client, job_id, clip_format)
    taken = [take_clip_request(client) for _ in range(3)]
    assert taken == [("b", ClipFormat.SQUARE), ("a", ClipFormat.GIF), None]


def test_no_request_is_taken_by_two_workers(client: redis.Redis, broker_url: str) -> None:
    for number in range(200):
        add_clip_request(client, f"{number}", ClipFormat.GIF)

    def take_all(_: int) -> list[str]:
        with connect(broker_url) as worker_client:
            return [job_id for job_id, _ in iter(lambda: take_clip_request(worker_client), None)]

    with ThreadPoolExecutor(4) as executor:
        taken = [job_id for job_ids in executor.map(take_all, range(4)) for job_id in job_ids]
    assert len(taken) == len(set(taken)) == 200


def test_a_format_of_a_later_version_is_passed_over(client: redis.Redis) -> None:
    client.zadd(CLIP_REQUESTS, {"a clip.avif": 1.0, "nonsense": 2.0})
    add_clip_request(client, "a", ClipFormat.GIF)
    assert take_clip_request(client) == ("a", ClipFormat.GIF)


def test_requests_beyond_the_limit_are_refused(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_requests, "MAX_WAITING", 1)
    assert add_clip_request(client, "a", ClipFormat.GIF)
    assert not add_clip_request(client, "b", ClipFormat.GIF)
