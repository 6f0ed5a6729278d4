"""Deliverers are killed with -9, run twice, and lose their broker: each event has one effect."""

import random
import subprocess
import time

import pytest
import redis

from shared.settings import Settings
from shared.storage.object_names import webhook_mark_name
from shared.storage.store import Store
from shared.webhooks.table import DeliveryTable
from tests.display.fake_pipeline import FakePipeline
from tests.display.webhooks.conftest import PATIENT, DelivererRunner, EndpointMaker, start_process
from tests.display.webhooks.receiver import Receiver
from tests.waiting import wait_until

DREAM_COUNT, KILL_COUNT = 40, 6


@pytest.mark.slow
def test_each_event_has_one_effect_while_two_deliverers_are_killed_at_random(
    settings: Settings,
    client: redis.Redis,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
) -> None:
    endpoint, chance = add_endpoint(receiver.url), random.Random(3)
    receiver.delay = 0.2  # long enough for the other deliverer to look meanwhile
    deliverers: list[subprocess.Popen[bytes]] = [start_process(settings) for _ in range(2)]
    jobs, kills = [], 0
    try:
        for number in range(DREAM_COUNT):
            jobs.append(pipeline.add_dream((6 * number, 90, 30)).id)
            if number % (DREAM_COUNT // KILL_COUNT) == 0:
                expected = min(len(jobs) - 1, len(receiver.jobs) + 1)
                wait_until(lambda expected=expected: len(receiver.jobs) >= expected, "a deliverer works")  # type: ignore[misc]
                time.sleep(chance.uniform(0.0, 0.1))  # so that it dies at any moment
                victim = deliverers[chance.randrange(2)]
                victim.kill()
                kills += 1
                victim.wait()
                deliverers[deliverers.index(victim)] = start_process(settings)
        wait_until(lambda: DeliveryTable(client).count(endpoint.id).delivered == DREAM_COUNT, "all are delivered")
        assert receiver.jobs == dict.fromkeys(jobs, 1)
        # Only what was under way when its deliverer was killed came again, with the same id.
        assert sum(receiver.ids.values()) <= DREAM_COUNT + kills
    finally:
        for deliverer in deliverers:
            deliverer.kill()
            deliverer.wait()


def test_a_wiped_broker_tells_again_only_what_was_not_delivered(
    client: redis.Redis,
    store: Store,
    pipeline: FakePipeline,
    receiver: Receiver,
    add_endpoint: EndpointMaker,
    running_deliverer: DelivererRunner,
) -> None:
    endpoint = add_endpoint(receiver.url)
    with running_deliverer():
        delivered = pipeline.add_dream((20, 90, 30))
        mark = webhook_mark_name(delivered.id, endpoint.id)
        wait_until(lambda: store.get(mark) is not None, "the first is delivered")
    waiting = pipeline.add_dream((40, 90, 30))
    client.flushall()
    with running_deliverer():
        wait_until(lambda: waiting.id in receiver.jobs, "the other is told all the same")
    receiver.status, tried = 500, len(receiver.requests)
    with running_deliverer(PATIENT):
        last = pipeline.add_dream((60, 90, 30))
        wait_until(lambda: len(receiver.requests) > tried, "a third is tried")
        client.flushall()  # while it runs
        receiver.status = 200
        mark = webhook_mark_name(last.id, endpoint.id)
        wait_until(lambda: store.get(mark) is not None, "it is told all the same")
    assert receiver.jobs == {delivered.id: 1, waiting.id: 1, last.id: 1}
    assert sum(count for message_id, count in receiver.ids.items() if message_id != receiver.requests[-1].id) == 2
