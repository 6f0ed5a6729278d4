"""Messages that are not valid jobs are counted and logged in one line each, and the worker keeps running."""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.jobs.events import Completed, Failed, Started
from shared.jobs.job import Lane, State
from shared.jobs.queue import queue_keys, submit
from shared.jobs.rejected_messages import RejectionReason, read_rejection_counts
from tests.fault.installation import FaultInstallation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultInstallation]:
    """An installation whose worker must still run at the end."""
    installation = FaultInstallation(tmp_path_factory.mktemp("hostile"))
    worker = installation.start_worker()
    yield installation
    assert worker.process.poll() is None
    installation.close()


def make_message(args: Any = ("0" * 32,), kwargs: Any = None, embed: Any = None, **overrides: Any) -> bytes:
    """Return a message as Celery writes it, with overrides: `headers__eta=…` replaces a header."""
    body = base64.b64encode(json.dumps([args, kwargs or {}, embed or {"callbacks": None}]).encode()).decode()
    message: dict[str, Any] = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "artdream.dream", "id": "0" * 32, "retries": 0, "timelimit": [None, None]},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "live"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "a-tag",
        },
    }
    for name, value in overrides.items():
        section, _, key = name.replace("content_", "content-").partition("__")
        message[section] = message[section] | {key: value} if key else value
    return json.dumps(message).encode()


HUGE_NUMBER = 10**400
PICKLED_BODY = base64.b64encode(pickle.dumps(["0" * 32])).decode()

INVALID_MESSAGES: dict[str, tuple[bytes, RejectionReason]] = {
    "a word": (b"garbage", RejectionReason.NOT_JSON),
    "nothing": (b"", RejectionReason.NOT_JSON),
    "invalid UTF-8": (b"\xff\xfe{}", RejectionReason.NOT_JSON),
    "deeply nested": (b"[" * 200_000, RejectionReason.NOT_JSON),
    "a number without end": (b"9" * 100_000, RejectionReason.NOT_JSON),
    "a type of kombu's own": (b'{"__type__": "decimal", "__value__": "x"}', RejectionReason.NOT_JSON),
    "a bare pickle": (pickle.dumps(["0" * 32]), RejectionReason.NOT_JSON),
    "null": (b"null", RejectionReason.MALFORMED_MESSAGE),
    "a list": (b"[]", RejectionReason.MALFORMED_MESSAGE),
    "an empty object": (b"{}", RejectionReason.MALFORMED_MESSAGE),
    "no headers": (make_message(headers=None), RejectionReason.MALFORMED_MESSAGE),
    "no delivery": (make_message(properties={}), RejectionReason.MALFORMED_MESSAGE),
    "a tag that is a list": (make_message(properties__delivery_tag=["x"]), RejectionReason.MALFORMED_MESSAGE),
    "a tag that leads away": (make_message(properties__delivery_tag="../x"), RejectionReason.MALFORMED_MESSAGE),
    "another route": (
        make_message(properties__delivery_info={"exchange": "", "routing_key": "_kombu"}),
        RejectionReason.MALFORMED_MESSAGE,
    ),
    "no base64": (make_message(body="%%%"), RejectionReason.MALFORMED_MESSAGE),
    "a body of 20 MB": (make_message(body="A" * 20_000_000), RejectionReason.TOO_LARGE),
    "pickle": (
        make_message(content_type="application/x-python-serialize", body=PICKLED_BODY),
        RejectionReason.WRONG_CONTENT_TYPE,
    ),
    "yaml": (make_message(content_type="application/x-yaml"), RejectionReason.WRONG_CONTENT_TYPE),
    "compressed": (make_message(headers__compression="application/x-gzip"), RejectionReason.WRONG_CONTENT_TYPE),
    "another encoding": (make_message(content_encoding="utf-7"), RejectionReason.WRONG_CONTENT_TYPE),
    "an unknown task": (make_message(headers__task="os.system"), RejectionReason.WRONG_TASK),
    "one of Celery's own tasks": (make_message(headers__task="celery.backend_cleanup"), RejectionReason.WRONG_TASK),
    "two arguments": (make_message(["0" * 32, "1"]), RejectionReason.WRONG_ARGUMENTS),
    "no arguments": (make_message([]), RejectionReason.WRONG_ARGUMENTS),
    "keywords": (make_message(kwargs={"job_id": "0" * 32}), RejectionReason.WRONG_ARGUMENTS),
    "a number": (make_message([7]), RejectionReason.WRONG_ARGUMENTS),
    "a huge number": (make_message([HUGE_NUMBER]), RejectionReason.WRONG_ARGUMENTS),
    "an object": (make_message([{"photo_id": 1}]), RejectionReason.WRONG_ARGUMENTS),
    "a way out": (make_message(["../../../../etc/passwd"]), RejectionReason.WRONG_ARGUMENTS),
    "an absolute path": (make_message(["/etc/passwd"]), RejectionReason.WRONG_ARGUMENTS),
    "an address": (make_message(["http://127.0.0.1/x"]), RejectionReason.WRONG_ARGUMENTS),
    "a NUL": (make_message(["0" * 31 + "\0"]), RejectionReason.WRONG_ARGUMENTS),
    "percent": (make_message(["%2e%2e%2f" * 3]), RejectionReason.WRONG_ARGUMENTS),
    "a line behind": (make_message(["0" * 32 + "\n"]), RejectionReason.WRONG_ARGUMENTS),
    "half a body": (make_message(body=base64.b64encode(b"[1").decode()), RejectionReason.WRONG_ARGUMENTS),
    "a chain": (make_message(embed={"chain": [{"task": "x"}]}), RejectionReason.UNSUPPORTED_OPTIONS),
    "a chord": (make_message(embed={"chord": {"task": "x"}}), RejectionReason.UNSUPPORTED_OPTIONS),
    "later": (make_message(headers__eta="9999-01-01T00:00:00"), RejectionReason.UNSUPPORTED_OPTIONS),
    "without limits": (make_message(headers__timelimit=[10**9, 10**9]), RejectionReason.UNSUPPORTED_OPTIONS),
    "already over": (make_message(headers__expires="never"), RejectionReason.UNSUPPORTED_OPTIONS),
}


def test_what_is_no_message_of_ours_is_counted_by_reason_and_the_next_photo_is_dreamt(
    installation: FaultInstallation,
) -> None:
    """Seen failing without the message filter: the first message that was not JSON ended the worker."""
    counts_before, log_length = read_rejection_counts(installation.client), len(installation.log.read_text())
    [worker] = installation.workers
    pool_process_pid = worker.pool_process.pid
    for number, (raw, _) in enumerate(INVALID_MESSAGES.values()):
        installation.client.rpush(queue_keys(Lane.LIVE)[number % 9], raw)
    job = installation.submit(1)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    expected = dict.fromkeys(RejectionReason, 0) | counts_before
    for _, reason in INVALID_MESSAGES.values():
        expected[reason] += 1
    installation.wait_until(lambda: sum(read_rejection_counts(installation.client).values()) >= sum(expected.values()))
    assert read_rejection_counts(installation.client) == {reason: count for reason, count in expected.items() if count}
    assert worker.process.poll() is None
    assert worker.pool_process.pid == pool_process_pid
    log = installation.log.read_text()[log_length:]
    assert log.count("a message was rejected") == len(INVALID_MESSAGES)
    assert "Traceback" not in log
    installation.wait_until(lambda: installation.client.hlen("unacked") == 0)


def test_a_delivery_that_cannot_be_read_is_dropped(installation: FaultInstallation) -> None:
    """Seen failing without the message filter: the delivery ended the worker, and every worker after it."""
    for tag, entry in {"a": "garbage", "b": "[]", "c": "[1, 2, 3]", "d": '[{"headers": 3}, "", "live"]'}.items():
        installation.client.hset("unacked", tag, entry)
        installation.client.zadd("unacked_index", {tag: 1})
    installation.wait_until(lambda: installation.client.zcard("unacked_index") == 0)
    assert installation.client.hlen("unacked") == 0
    assert read_rejection_counts(installation.client)[RejectionReason.UNREADABLE_DELIVERY] == 4
    assert "Traceback" not in installation.log.read_text()
    job = installation.submit(2)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))


def change_json(text: str, **changes: Any) -> str:
    return json.dumps(json.loads(text) | changes)


INVALID_RECORDS: dict[str, tuple[Callable[[str], str], RejectionReason]] = {
    "no JSON": (lambda _: "{", RejectionReason.UNREADABLE_JOB),
    "a version to come": (lambda text: change_json(text, version=2), RejectionReason.UNREADABLE_JOB),
    "a field to come": (lambda text: change_json(text, mood="blue"), RejectionReason.UNREADABLE_JOB),
    "a recipe to come": (lambda text: text.replace('"steps"', '"strides"'), RejectionReason.UNREADABLE_JOB),
    "numbers that are none": (
        lambda text: change_json(text, stages={"settle": float("nan")}),
        RejectionReason.UNREADABLE_JOB,
    ),
    "deeply nested": (lambda _: "[" * 50_000, RejectionReason.UNREADABLE_JOB),
    "a way out": (lambda text: change_json(text, photo_id="../" * 21 + "x"), RejectionReason.UNREADABLE_JOB),
    "too large": (lambda text: text + " " * 200_000, RejectionReason.TOO_LARGE),
    "another photo": (lambda text: change_json(text, photo_id="1" * 64), RejectionReason.ID_MISMATCH),
    "another seed": (lambda text: change_json(text, seed=7), RejectionReason.ID_MISMATCH),
}


@pytest.mark.parametrize("name", INVALID_RECORDS)
def test_a_job_that_is_not_what_its_id_says_fails_with_a_reason(name: str, installation: FaultInstallation) -> None:
    """Seen failing without the job validation: a traceback, and the guest waited forever."""
    change, reason = INVALID_RECORDS[name]
    count_before = read_rejection_counts(installation.client).get(reason, 0)
    seed = 100 + list(INVALID_RECORDS).index(name)
    job = installation.store_photo(100).model_copy(update={"seed": seed})
    installation.table.accept(job)
    key = f"artdream:job:{job.id}"
    installation.client.hset(key, "job", change(str(installation.client.hget(key, "job"))))
    submit(installation.app, installation.table, job)
    installation.wait_until(lambda: bool(installation.events_of(job, Failed)))
    [failed] = installation.events_of(job, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The job {reason}."
    assert installation.events_of(job, Started) == []
    assert installation.table.get_state(job.id) is State.FAILED
    assert read_rejection_counts(installation.client)[reason] == count_before + 1
    assert "Traceback" not in installation.log.read_text()
    list(installation.table.iter_records())  # listing all jobs still works


@pytest.mark.parametrize(
    "network",
    [
        "../../secret.keras",
        "/etc/secret.keras",
        "file:///etc/secret.keras",
        "http://127.0.0.1:9/x.keras",
        "s3://elsewhere/x.keras",
        "artist/../../x",
        "artist/..%2fx",
        "STORE/../outside.keras",
        "STORE/%2e%2e/outside.keras",
        "STORE-beside/x.keras",
        "lite\0",
    ],
)
def test_a_job_reaches_no_network_outside_its_installation(network: str, installation: FaultInstallation) -> None:
    """Seen failing without the job validation: any path and any URL was opened."""
    network = network.replace("STORE", installation.settings.store.rstrip("/"))
    recipe = installation.short_recipe.model_copy(update={"network": network})
    job = installation.store_photo(101).model_copy(update={"recipe": recipe})
    submit(installation.app, installation.table, job)
    installation.wait_until(lambda: bool(installation.events_of(job, Failed)))
    [failed] = installation.events_of(job, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason in (
        f"The job {RejectionReason.NETWORK_NOT_ALLOWED}.",
        f"The job {RejectionReason.UNREADABLE_JOB}.",
    )
