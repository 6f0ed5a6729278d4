"""Whatever lies in a lane and is no job is counted, and costs a line of the log; the worker goes on."""

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.jobs.events import Completed, Failed, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import lists, submit
from shared.jobs.rejected_messages import Rejection, rejections
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

GARBAGE: dict[str, tuple[bytes, Rejection]] = {
    "a word": (b"garbage", Rejection.NO_JSON),
    "nothing": (b"", Rejection.NO_JSON),
    "invalid UTF-8": (b"\xff\xfe{}", Rejection.NO_JSON),
    "deeply nested": (b"[" * 200_000, Rejection.NO_JSON),
    "a number without end": (b"9" * 100_000, Rejection.NO_JSON),
    "a type of kombu's own": (b'{"__type__": "decimal", "__value__": "x"}', Rejection.NO_JSON),
    "a bare pickle": (pickle.dumps(["0" * 32]), Rejection.NO_JSON),
    "null": (b"null", Rejection.SHAPE),
    "a list": (b"[]", Rejection.SHAPE),
    "an empty object": (b"{}", Rejection.SHAPE),
    "no headers": (message(headers=None), Rejection.SHAPE),
    "no delivery": (message(properties={}), Rejection.SHAPE),
    "a tag that is a list": (message(properties__delivery_tag=["x"]), Rejection.SHAPE),
    "a tag that leads away": (message(properties__delivery_tag="../x"), Rejection.SHAPE),
    "another route": (message(properties__delivery_info={"exchange": "", "routing_key": "_kombu"}), Rejection.SHAPE),
    "no base64": (message(body="%%%"), Rejection.SHAPE),
    "a body of 20 MB": (message(body="A" * 20_000_000), Rejection.LARGE),
    "pickle": (message(content_type="application/x-python-serialize", body=PICKLED), Rejection.TYPE),
    "yaml": (message(content_type="application/x-yaml"), Rejection.TYPE),
    "compressed": (message(headers__compression="application/x-gzip"), Rejection.TYPE),
    "another encoding": (message(content_encoding="utf-7"), Rejection.TYPE),
    "an unknown task": (message(headers__task="os.system"), Rejection.TASK),
    "one of Celery's own tasks": (message(headers__task="celery.backend_cleanup"), Rejection.TASK),
    "two arguments": (message(["0" * 32, "1"]), Rejection.ARGUMENTS),
    "no arguments": (message([]), Rejection.ARGUMENTS),
    "keywords": (message(kwargs={"job_id": "0" * 32}), Rejection.ARGUMENTS),
    "a number": (message([7]), Rejection.ARGUMENTS),
    "a huge number": (message([HUGE]), Rejection.ARGUMENTS),
    "an object": (message([{"photo_id": 1}]), Rejection.ARGUMENTS),
    "a way out": (message(["../../../../etc/passwd"]), Rejection.ARGUMENTS),
    "an absolute path": (message(["/etc/passwd"]), Rejection.ARGUMENTS),
    "an address": (message(["http://127.0.0.1/x"]), Rejection.ARGUMENTS),
    "a NUL": (message(["0" * 31 + "\0"]), Rejection.ARGUMENTS),
    "percent": (message(["%2e%2e%2f" * 3]), Rejection.ARGUMENTS),
    "a line behind": (message(["0" * 32 + "\n"]), Rejection.ARGUMENTS),
    "half a body": (message(body=base64.b64encode(b"[1").decode()), Rejection.ARGUMENTS),
    "a chain": (message(embed={"chain": [{"task": "x"}]}), Rejection.EXTRAS),
    "a chord": (message(embed={"chord": {"task": "x"}}), Rejection.EXTRAS),
    "later": (message(headers__eta="9999-01-01T00:00:00"), Rejection.EXTRAS),
    "without limits": (message(headers__timelimit=[10**9, 10**9]), Rejection.EXTRAS),
    "already over": (message(headers__expires="never"), Rejection.EXTRAS),
}


def test_what_is_no_message_of_ours_is_counted_by_reason_and_the_next_photo_is_dreamt(here: Installation) -> None:
    """Seen failing without the gate: the first word that was no JSON ended the worker."""
    before, process = rejections(here.client), here.worker.pid
    for number, (raw, _) in enumerate(GARBAGE.values()):
        here.client.rpush(lists(Lane.LIVE)[number % 9], raw)
    job = here.submit(1)
    here.until(lambda: bool(here.of(job, Completed)))
    wanted = dict.fromkeys(Rejection, 0) | before
    for _, reason in GARBAGE.values():
        wanted[reason] += 1
    here.until(lambda: sum(rejections(here.client).values()) >= len(GARBAGE))
    assert rejections(here.client) == {reason: count for reason, count in wanted.items() if count}
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
    assert rejections(here.client)[Rejection.DELIVERY] == 4
    assert "Traceback" not in here.log.read_text()
    job = here.submit(2)
    here.until(lambda: bool(here.of(job, Completed)))


def changed(text: str, **changes: Any) -> str:
    return json.dumps(json.loads(text) | changes)


RECORDS: dict[str, tuple[Callable[[str], str], Rejection]] = {
    "no JSON": (lambda _: "{", Rejection.UNREADABLE),
    "a version to come": (lambda text: changed(text, version=2), Rejection.UNREADABLE),
    "a field to come": (lambda text: changed(text, mood="blue"), Rejection.UNREADABLE),
    "a recipe to come": (lambda text: text.replace('"steps"', '"strides"'), Rejection.UNREADABLE),
    "numbers that are none": (lambda text: changed(text, stages={"settle": float("nan")}), Rejection.UNREADABLE),
    "deeply nested": (lambda _: "[" * 50_000, Rejection.UNREADABLE),
    "a way out": (lambda text: changed(text, photo_id="../" * 21 + "x"), Rejection.UNREADABLE),
    "too large": (lambda text: text + " " * 200_000, Rejection.LARGE),
    "another photo": (lambda text: changed(text, photo_id="1" * 64), Rejection.IMPOSTOR),
    "another seed": (lambda text: changed(text, seed=7), Rejection.IMPOSTOR),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_job_that_is_not_what_its_id_says_fails_with_a_reason(name: str, here: Installation) -> None:
    """Seen failing without the admission: a traceback, and the guest waited for ever."""
    change, reason = RECORDS[name]
    before = rejections(here.client).get(reason, 0)
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
    assert here.table.state(job.id) is State.FAILED
    assert rejections(here.client)[reason] == before + 1
    assert "Traceback" not in here.log.read_text()
    list(here.table.entries())  # what lists all jobs goes on


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
    assert failed.reason in (f"The job {Rejection.NETWORK}.", f"The job {Rejection.UNREADABLE}.")
