"""An installation on guard: Redis over TLS, a user who may do little, secrets in files, one log, numbers to watch.

One evening is run, with what goes wrong in one, and looked at from each of these sides.
"""

import json
from collections.abc import Iterator

import pytest

from shared.broker.acl import COMMAND_RULES
from shared.jobs.events import Completed, Stage
from shared.storage.object_names import sidecar_name
from shared.storage.store import Store
from tests.e2e.installation_run import MARKS, PARTS, Evening, evening_in
from tests.redis_server import require_redis

#: The evening is all in the first test's setup.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    require_redis()
    with evening_in(tmp_path_factory.mktemp("evening")) as evening:
        yield evening


def test_the_least_user_there_can_be_sees_photos_become_dreams_over_tls(evening: Evening) -> None:
    assert len({event.job_id for event in evening.of(Completed)}) == 6
    assert [one for one in evening.denied if one.startswith(("command", "key", "channel"))] == []


def test_that_user_has_no_permission_that_is_not_used(evening: Evening) -> None:
    """Fails with one command more in shared/broker/acl.py."""
    assert {rule.removeprefix("+") for rule in COMMAND_RULES} - evening.called == set()


def test_no_secret_is_in_a_log_an_event_a_sidecar_a_command_line_or_on_the_terminal(evening: Evening) -> None:
    store = Store(evening.settings.store)
    texts = {f"log of {part}": evening.log(part) for part in PARTS} | evening.said
    texts |= {f"command line {n}": line for n, line in enumerate(evening.cmdlines)}
    texts |= {f"metrics of {part}": text for part, text in evening.metrics.items()}
    texts["events"] = "\n".join(event.model_dump_json() for event in evening.events)
    dreams = {event.job_id for event in evening.of(Completed)} - {evening.deleted}
    sidecars = [store.get(sidecar_name(job_id)) for job_id in dreams]
    texts["sidecars"] = "\n".join((one or b"").decode() for one in sidecars)
    texts["ledger"] = "\n".join(
        file.read_bytes().decode("latin-1") for file in (evening.folder / "data").rglob("*") if file.is_file()
    )
    assert all(sidecars)
    assert len(sidecars) == 5
    assert any("artdream worker" in line for line in evening.cmdlines)
    assert "Cannot connect to rediss://artdream:**@" in texts["log of worker"]
    found = {place: mark for place, text in texts.items() for mark in MARKS if mark in text}
    assert found == {}


def lines(evening: Evening, part: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in evening.log(part).splitlines()]


@pytest.mark.parametrize("part", PARTS)
def test_every_line_of_a_part_is_one_object(evening: Evening, part: str) -> None:
    found = lines(evening, part)
    assert found
    for line in found:
        assert line.keys() >= {"time", "level", "logger", "message", "part"}


def test_each_stage_of_a_job_is_a_line_with_its_id(evening: Evening) -> None:
    job_id = evening.of(Completed)[0].job_id
    told = {
        (part, line["stage"])
        for part in PARTS
        for line in lines(evening, part)
        if line.get("job") == job_id and "stage" in line
    }
    assert told == {
        *(("watch", stage) for stage in (Stage.SETTLE, Stage.CONVERT, Stage.UPLOAD)),
        *(("worker", stage) for stage in (Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH)),
        ("display", "show"),
    }


@pytest.mark.parametrize("part", PARTS)
def test_what_can_be_expected_brings_no_traceback(evening: Evening, part: str) -> None:
    """A broker and a store that went away, a killed pool process, a file that is none: fails without `_Told`."""
    assert [line for line in lines(evening, part) if "Traceback" in json.dumps(line)] == []
    assert [place for place, said in evening.said.items() if "Traceback" in said] == []


def test_the_worker_counts_over_all_its_pool_processes(evening: Evening) -> None:
    """The first of them was killed; fails without `counted_together`."""
    number = evening.number
    assert number("worker", "artdream_jobs_total", outcome="completed") == 6
    assert number("worker", "artdream_jobs_total", outcome="failed") == 1
    assert number("worker", "artdream_faults_total", kind="expected") == 1
    assert number("worker", "artdream_faults_total", kind="message lost") == 1
    assert number("worker", "artdream_stage_seconds_count", stage="dream") == 6
    assert number("worker", "artdream_stage_seconds_count", stage="queue") == 8  # one was begun twice, one had no photo
    assert number("worker", "artdream_stage_seconds_sum", stage="dream") > 0.3
    assert number("worker", "artdream_unreadable_total", what="message") == 2


def test_the_producer_counts_what_it_took_and_refused(evening: Evening) -> None:
    assert evening.number("watch", "artdream_jobs_total", outcome="submitted") == 3
    assert evening.number("watch", "artdream_refused_files_total") == 1
    assert evening.number("watch", "artdream_stage_seconds_count", stage="convert") == 3


def test_the_display_counts_what_it_could_not_read(evening: Evening) -> None:
    assert evening.number("display", "artdream_unreadable_total", what="event") == 1
    assert evening.number("display", "artdream_stage_seconds_count", stage="show") == 6


@pytest.mark.parametrize("part", PARTS)
def test_every_part_tells_the_lanes_and_who_is_there(evening: Evening, part: str) -> None:
    number = evening.number
    assert number(part, "artdream_broker_up") == 1
    for where in ("waiting", "in flight"):
        assert number(part, "artdream_lane_jobs", lane="batch", where=where) == 0
        assert number(part, "artdream_lane_oldest_seconds", lane="batch", where=where) == 0
    assert number(part, "artdream_present", part="worker", state="ready") == 1
    assert number(part, "artdream_present", part="display", state="showing") == 1
