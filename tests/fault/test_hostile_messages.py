"""Whatever lies in a lane and is no job is counted, and costs a line of the log; the worker goes on."""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.jobs.events import Completed, Failed, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import queue_keys, submit
from shared.jobs.rejected_messages import RejectionReason, read_rejection_counts
from tests.worker.test_app import SHORT, Installation, installed


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose worker is the one that was started, whatever came meanwhile."""
    with installed(tmp_path_factory.mktemp("hostile")) as installation:
        yield installation
        assert installation.worker.poll() is None


def message(args: Any = ("0" * 32,), kwargs: Any = None, embed: Any = None, **changed: Any) -> bytes:
    """A message as Celery writes it, changed: `headers__eta=…` changes a header."""
    body = base64.b64encode(json.dumps([args, kwargs or {}, embed or {"callbacks": None}]).encode()).decode()
    whole: dict[str, Any] = {
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
    for name, value in changed.items():
        place, _, step = name.replace("content_", "content-").partition("__")
        whole[place] = whole[place] | {step: value} if step else value
    return json.dumps(whole).encode()


HUGE = 10**400
PICKLED = base64.b64encode(pickle.dumps(["0" * 32])).decode()

GARBAGE: dict[str, tuple[bytes, RejectionReason]] = {
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
    "no headers": (message(headers=None), RejectionReason.MALFORMED_MESSAGE),
    "no delivery": (message(properties={}), RejectionReason.MALFORMED_MESSAGE),
    "a tag that is a list": (message(properties__delivery_tag=["x"]), RejectionReason.MALFORMED_MESSAGE),
    "a tag that leads away": (message(properties__delivery_tag="../x"), RejectionReason.MALFORMED_MESSAGE),
    "another route": (
        message(properties__delivery_info={"exchange": "", "routing_key": "_kombu"}),
        RejectionReason.MALFORMED_MESSAGE,
    ),
    "no base64": (message(body="%%%"), RejectionReason.MALFORMED_MESSAGE),
    "a body of 20 MB": (message(body="A" * 20_000_000), RejectionReason.TOO_LARGE),
    "pickle": (
        message(content_type="application/x-python-serialize", body=PICKLED),
        RejectionReason.WRONG_CONTENT_TYPE,
    ),
    "yaml": (message(content_type="application/x-yaml"), RejectionReason.WRONG_CONTENT_TYPE),
    "compressed": (message(headers__compression="application/x-gzip"), RejectionReason.WRONG_CONTENT_TYPE),
    "another encoding": (message(content_encoding="utf-7"), RejectionReason.WRONG_CONTENT_TYPE),
    "an unknown task": (message(headers__task="os.system"), RejectionReason.WRONG_TASK),
    "one of Celery's own tasks": (message(headers__task="celery.backend_cleanup"), RejectionReason.WRONG_TASK),
    "two arguments": (message(["0" * 32, "1"]), RejectionReason.WRONG_ARGUMENTS),
    "no arguments": (message([]), RejectionReason.WRONG_ARGUMENTS),
    "keywords": (message(kwargs={"job_id": "0" * 32}), RejectionReason.WRONG_ARGUMENTS),
    "a number": (message([7]), RejectionReason.WRONG_ARGUMENTS),
    "a huge number": (message([HUGE]), RejectionReason.WRONG_ARGUMENTS),
    "an object": (message([{"photo_id": 1}]), RejectionReason.WRONG_ARGUMENTS),
    "a way out": (message(["../../../../etc/passwd"]), RejectionReason.WRONG_ARGUMENTS),
    "an absolute path": (message(["/etc/passwd"]), RejectionReason.WRONG_ARGUMENTS),
    "an address": (message(["http://127.0.0.1/x"]), RejectionReason.WRONG_ARGUMENTS),
    "a NUL": (message(["0" * 31 + "\0"]), RejectionReason.WRONG_ARGUMENTS),
    "percent": (message(["%2e%2e%2f" * 3]), RejectionReason.WRONG_ARGUMENTS),
    "a line behind": (message(["0" * 32 + "\n"]), RejectionReason.WRONG_ARGUMENTS),
    "half a body": (message(body=base64.b64encode(b"[1").decode()), RejectionReason.WRONG_ARGUMENTS),
    "a chain": (message(embed={"chain": [{"task": "x"}]}), RejectionReason.UNSUPPORTED_OPTIONS),
    "a chord": (message(embed={"chord": {"task": "x"}}), RejectionReason.UNSUPPORTED_OPTIONS),
    "later": (message(headers__eta="9999-01-01T00:00:00"), RejectionReason.UNSUPPORTED_OPTIONS),
    "without limits": (message(headers__timelimit=[10**9, 10**9]), RejectionReason.UNSUPPORTED_OPTIONS),
    "already over": (message(headers__expires="never"), RejectionReason.UNSUPPORTED_OPTIONS),
}


def test_what_is_no_message_of_ours_is_counted_by_reason_and_the_next_photo_is_dreamt(here: Installation) -> None:
    """Seen failing without the gate: the first word that was no JSON ended the worker."""
    before, process = read_rejection_counts(here.client), here.worker.pid
    for number, (raw, _) in enumerate(GARBAGE.values()):
        here.client.rpush(queue_keys(Lane.LIVE)[number % 9], raw)
    job = here.submit(1)
    here.until(lambda: bool(here.of(job, Completed)))
    wanted = dict.fromkeys(RejectionReason, 0) | before
    for _, reason in GARBAGE.values():
        wanted[reason] += 1
    here.until(lambda: sum(read_rejection_counts(here.client).values()) >= len(GARBAGE))
    assert read_rejection_counts(here.client) == {reason: count for reason, count in wanted.items() if count}
    assert here.worker.poll() is None
    assert here.worker.pid == process
    lines = [line for line in here.log.read_text().splitlines() if "a message was rejected" in line]
    assert len(lines) == len(GARBAGE)
    assert "Traceback" not in here.log.read_text()
    here.until(lambda: here.client.hlen("unacked") == 0)


def test_a_delivery_that_cannot_be_read_is_dropped(here: Installation) -> None:
    """Seen failing without the gate: the worker ended over it, and so did the next one, and the next."""
    for tag, kept in {"a": "garbage", "b": "[]", "c": "[1, 2, 3]", "d": '[{"headers": 3}, "", "live"]'}.items():
        here.client.hset("unacked", tag, kept)
        here.client.zadd("unacked_index", {tag: 1})
    here.until(lambda: here.client.zcard("unacked_index") == 0)
    assert here.client.hlen("unacked") == 0
    assert read_rejection_counts(here.client)[RejectionReason.UNREADABLE_DELIVERY] == 4
    assert "Traceback" not in here.log.read_text()
    job = here.submit(2)
    here.until(lambda: bool(here.of(job, Completed)))


def changed(text: str, **changes: Any) -> str:
    return json.dumps(json.loads(text) | changes)


RECORDS: dict[str, tuple[Callable[[str], str], RejectionReason]] = {
    "no JSON": (lambda _: "{", RejectionReason.UNREADABLE_JOB),
    "a version to come": (lambda text: changed(text, version=2), RejectionReason.UNREADABLE_JOB),
    "a field to come": (lambda text: changed(text, mood="blue"), RejectionReason.UNREADABLE_JOB),
    "a recipe to come": (lambda text: text.replace('"steps"', '"strides"'), RejectionReason.UNREADABLE_JOB),
    "numbers that are none": (
        lambda text: changed(text, stages={"settle": float("nan")}),
        RejectionReason.UNREADABLE_JOB,
    ),
    "deeply nested": (lambda _: "[" * 50_000, RejectionReason.UNREADABLE_JOB),
    "a way out": (lambda text: changed(text, photo_id="../" * 21 + "x"), RejectionReason.UNREADABLE_JOB),
    "too large": (lambda text: text + " " * 200_000, RejectionReason.TOO_LARGE),
    "another photo": (lambda text: changed(text, photo_id="1" * 64), RejectionReason.ID_MISMATCH),
    "another seed": (lambda text: changed(text, seed=7), RejectionReason.ID_MISMATCH),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_job_that_is_not_what_its_id_says_fails_with_a_reason(name: str, here: Installation) -> None:
    """Seen failing without the admission: a traceback, and the guest waited for ever."""
    change, reason = RECORDS[name]
    before = read_rejection_counts(here.client).get(reason, 0)
    job = Job(photo_id=here.photo(100), recipe=SHORT, seed=100 + list(RECORDS).index(name))
    here.table.accept(job)
    key = f"artdream:job:{job.id}"
    here.client.hset(key, "job", change(here.client.hget(key, "job") or ""))
    here.client.hdel(key, "reserved")  # whoever entered it is gone
    submit(here.app, here.table, job)
    here.until(lambda: bool(here.of(job, Failed)))
    [failed] = here.of(job, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The job {reason}."
    assert here.of(job, Started) == []
    assert here.table.get_state(job.id) is State.FAILED
    assert read_rejection_counts(here.client)[reason] == before + 1
    assert "Traceback" not in here.log.read_text()
    list(here.table.iter_records())  # what lists all jobs goes on


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
def test_a_job_reaches_no_network_outside_its_installation(network: str, here: Installation) -> None:
    """Seen failing without the admission: any path and any address was opened."""
    network = network.replace("STORE", here.settings.store.rstrip("/"))
    job = Job(photo_id=here.photo(101), recipe=SHORT.model_copy(update={"network": network}))
    submit(here.app, here.table, job)
    here.until(lambda: bool(here.of(job, Failed)))
    [failed] = here.of(job, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason in (
        f"The job {RejectionReason.NETWORK_NOT_ALLOWED}.",
        f"The job {RejectionReason.UNREADABLE_JOB}.",
    )
