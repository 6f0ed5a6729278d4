"""What ArtDream uses of Celery and kombu beyond their documentation, one promise for each.

Each docstring says what breaks in ArtDream if a new version of the library breaks the promise.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import pytest
import redis
from billiard.compat import mem_rss
from kombu import Connection
from kombu.transport import redis as transport

from shared.jobs.job import Lane
from shared.jobs.queue import DREAM_TASK, create_celery_app, parse_job_id, queue_keys
from shared.settings import Settings
from worker.consumer.message_filter import install_message_filter

QUEUE = "probe"


@pytest.fixture(scope="module")
def facts(_valkey_server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a real worker with a prefork pool reported."""
    arguments: list[str | Path] = [f"{_valkey_server.connection_url}/1", tmp_path_factory.mktemp("probe") / "reports"]
    command = [sys.executable, "-m", "tests.worker.consumer.celery_probe", *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout.splitlines()[-1])


@pytest.fixture
def connection(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection of kombu's Redis transport behind ArtDream's message filter, which is removed afterwards."""
    monkeypatch.setattr(transport.Transport, "Channel", transport.Transport.Channel)
    install_message_filter(settings)
    with Connection(settings.broker) as connection:
        yield connection


@pytest.fixture
def channel(connection: Connection) -> Any:
    """Its channel."""
    return connection.default_channel


def test_the_pool_lists_its_processes(facts: dict[str, Any]) -> None:
    """`consumer.pool._pool._pool`. Otherwise flow control counts no warm process, and no job is ever fetched."""
    assert facts["pool_pids"] == [facts["pid"]]


def test_a_pool_process_knows_its_index(facts: dict[str, Any]) -> None:
    """`billiard.process.current_process().index`. Otherwise warm processes overwrite each other, and share one GPU."""
    assert facts["index"] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere getrusage has other units")
def test_the_pool_measures_a_process_by_the_most_memory_that_it_ever_had() -> None:
    """`billiard.compat.mem_rss`, in kB. Otherwise a process that the pool is about to replace takes one more job."""
    before = getrusage(RUSAGE_SELF).ru_maxrss
    assert before <= mem_rss() <= getrusage(RUSAGE_SELF).ru_maxrss


def test_the_consumer_asks_qos_before_it_fetches(facts: dict[str, Any]) -> None:
    """`channel.qos.can_consume`. Otherwise flow control is never asked, and a worker hoards jobs while it warms up."""
    assert facts["can_consume_calls"] > 0


def test_a_message_that_was_fetched_is_reserved_and_counted(facts: dict[str, Any]) -> None:
    """`celery.worker.state`. Otherwise the worker seems idle while it works, and the watchdog restarts it."""
    assert facts["reserved"] > 0
    assert facts["all_total_count"] == 2


def test_sigusr1_interrupts_a_task(facts: dict[str, Any]) -> None:
    """Otherwise a stopping worker cannot release its job, and the job waits for its lease to expire."""
    assert facts["interrupted"]


def test_what_celery_prints_on_shutdown_can_be_silenced(facts: dict[str, Any]) -> None:
    """`celery.apps.worker.safe_say`. Otherwise lines that are not JSON get into a JSON log."""
    assert facts["safe_say"]


def test_connections_use_the_channel_class_of_the_transport(channel: Any) -> None:
    """`Transport.Channel`. Otherwise messages bypass the filter, and one that is not JSON ends the worker."""
    assert type(channel).__name__ == "FilteringChannel"
    assert type(channel.qos).__name__ == "FilteringQoS"


def test_a_consumer_s_callback_is_kept_by_queue_and_called_with_the_raw_message(
    connection: Connection, channel: Any, client: redis.Redis
) -> None:
    """`connection._callbacks`. Otherwise the filter never sees a message."""
    delivered: list[Any] = []
    channel.queue_declare(QUEUE)
    channel.basic_consume(QUEUE, False, delivered.append, "tag")
    assert callable(channel.connection._callbacks[QUEUE])
    message = json.dumps({"body": "", "headers": {}, "properties": {}, "content-type": "application/json"})
    client.lpush(QUEUE, message)
    connection.drain_events(timeout=10)  # the filter rejects it: it is no dream task
    assert delivered == []
    assert client.llen(QUEUE) == 0


def test_a_message_that_is_not_json_fails_in_brpop_read(
    connection: Connection, channel: Any, client: redis.Redis
) -> None:
    """`Channel._brpop_read` parses what it popped. Otherwise such a message ends the worker."""
    channel.queue_declare(QUEUE)
    channel.basic_consume(QUEUE, False, lambda _: None, "tag")
    client.lpush(QUEUE, "{")
    connection.drain_events(timeout=10)
    assert client.llen(QUEUE) == 0


def test_an_unacknowledged_delivery_is_kept_under_its_tag_and_can_be_removed(channel: Any, client: redis.Redis) -> None:
    """`QoS.unacked_key` and `_remove_from_indices`. Otherwise a damaged delivery is restored again and again."""
    client.hset(channel.unacked_key, "tag", "damaged")
    channel.qos.restore_by_tag("tag")
    assert client.hlen(channel.unacked_key) == 0


@pytest.mark.parametrize("lane", Lane)
def test_kombu_names_one_list_for_each_priority_as_artdream_does(channel: Any, lane: Lane) -> None:
    """Otherwise waiting jobs are not counted, and the reconciler queues every one of them again."""
    app = create_celery_app(Settings(broker_url="redis://127.0.0.1:1/0", _env_file=None))
    channel.priority_steps = app.conf.broker_transport_options["priority_steps"]
    assert [channel._q_for_pri(lane, step) for step in channel.priority_steps] == queue_keys(lane)


def test_a_message_carries_the_id_of_its_task_in_its_headers(settings: Settings, client: redis.Redis) -> None:
    """Otherwise no message can be matched with its job: batches and live jobs are not found in the queue."""
    with create_celery_app(settings) as app:
        app.send_task(DREAM_TASK, args=["a" * 32], task_id="a" * 32, queue=Lane.LIVE.value, priority=0)
    assert parse_job_id(str(client.lindex(Lane.LIVE.value, 0))) == "a" * 32
