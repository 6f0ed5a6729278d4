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
from tests.e2e.installation_run import COMPONENTS, SECRET_MARKERS, InstallationRun, recorded_run
from tests.redis_server import require_redis

#: The evening is all in the first test's setup.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def installation_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstallationRun]:
    require_redis()
    with recorded_run(tmp_path_factory.mktemp("evening")) as evening:
        yield evening


def test_the_least_user_there_can_be_sees_photos_become_dreams_over_tls(installation_run: InstallationRun) -> None:
    assert len({event.job_id for event in installation_run.events_of(Completed)}) == 6
    assert [one for one in installation_run.denied_commands if one.startswith(("command", "key", "channel"))] == []


def test_that_user_has_no_permission_that_is_not_used(installation_run: InstallationRun) -> None:
    """Fails with one command more in shared/broker/acl.py."""
    assert {rule.removeprefix("+") for rule in COMMAND_RULES} - installation_run.called_commands == set()


def test_no_secret_is_in_a_log_an_event_a_sidecar_a_command_line_or_on_the_terminal(
    installation_run: InstallationRun,
) -> None:
    store = Store(installation_run.settings.store)
    texts = {f"log of {part}": installation_run.read_log(part) for part in COMPONENTS} | installation_run.command_output
    texts |= {f"command line {n}": line for n, line in enumerate(installation_run.command_lines)}
    texts |= {f"metrics of {part}": text for part, text in installation_run.metrics.items()}
    texts["events"] = "\n".join(event.model_dump_json() for event in installation_run.events)
    dreams = {event.job_id for event in installation_run.events_of(Completed)} - {installation_run.deleted_job_id}
    sidecars = [store.get(sidecar_name(job_id)) for job_id in dreams]
    texts["sidecars"] = "\n".join((one or b"").decode() for one in sidecars)
    texts["ledger"] = "\n".join(
        file.read_bytes().decode("latin-1") for file in (installation_run.folder / "data").rglob("*") if file.is_file()
    )
    assert all(sidecars)
    assert len(sidecars) == 5
    assert any("artdream worker" in line for line in installation_run.command_lines)
    assert "Cannot connect to rediss://artdream:**@" in texts["log of worker"]
    found = {place: mark for place, text in texts.items() for mark in SECRET_MARKERS if mark in text}
    assert found == {}


def read_log_lines(installation_run: InstallationRun, part: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in installation_run.read_log(part).splitlines()]


@pytest.mark.parametrize("part", COMPONENTS)
def test_every_line_of_a_part_is_one_object(installation_run: InstallationRun, part: str) -> None:
    found = read_log_lines(installation_run, part)
    assert found
    for line in found:
        assert line.keys() >= {"time", "level", "logger", "message", "part"}


def test_each_stage_of_a_job_is_a_line_with_its_id(installation_run: InstallationRun) -> None:
    job_id = installation_run.events_of(Completed)[0].job_id
    told = {
        (part, line["stage"])
        for part in COMPONENTS
        for line in read_log_lines(installation_run, part)
        if line.get("job") == job_id and "stage" in line
    }
    assert told == {
        *(("watch", stage) for stage in (Stage.SETTLE, Stage.CONVERT, Stage.UPLOAD)),
        *(("worker", stage) for stage in (Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH)),
        ("display", "show"),
    }


@pytest.mark.parametrize("part", COMPONENTS)
def test_what_can_be_expected_brings_no_traceback(installation_run: InstallationRun, part: str) -> None:
    """A broker and a store that went away, a killed pool process, a file that is none: fails without `_Told`."""
    assert [line for line in read_log_lines(installation_run, part) if "Traceback" in json.dumps(line)] == []
    assert [place for place, said in installation_run.command_output.items() if "Traceback" in said] == []


def test_the_worker_counts_over_all_its_pool_processes(installation_run: InstallationRun) -> None:
    """The first of them was killed; fails without `counted_together`."""
    number = installation_run.metric_value
    assert number("worker", "artdream_jobs_total", outcome="completed") == 6
    assert number("worker", "artdream_jobs_total", outcome="failed") == 1
    assert number("worker", "artdream_faults_total", kind="expected") == 1
    assert number("worker", "artdream_faults_total", kind="message lost") == 1
    assert number("worker", "artdream_stage_seconds_count", stage="dream") == 6
    assert number("worker", "artdream_stage_seconds_count", stage="queue") == 8  # one was begun twice, one had no photo
    assert number("worker", "artdream_stage_seconds_sum", stage="dream") > 0.3
    assert number("worker", "artdream_unreadable_total", what="message") == 2


def test_the_producer_counts_what_it_took_and_refused(installation_run: InstallationRun) -> None:
    assert installation_run.metric_value("watch", "artdream_jobs_total", outcome="submitted") == 3
    assert installation_run.metric_value("watch", "artdream_refused_files_total") == 1
    assert installation_run.metric_value("watch", "artdream_stage_seconds_count", stage="convert") == 3


def test_the_display_counts_what_it_could_not_read(installation_run: InstallationRun) -> None:
    assert installation_run.metric_value("display", "artdream_unreadable_total", what="event") == 1
    assert installation_run.metric_value("display", "artdream_stage_seconds_count", stage="show") == 6


@pytest.mark.parametrize("part", COMPONENTS)
def test_every_part_tells_the_lanes_and_who_is_there(installation_run: InstallationRun, part: str) -> None:
    number = installation_run.metric_value
    assert number(part, "artdream_broker_up") == 1
    for where in ("waiting", "in flight"):
        assert number(part, "artdream_lane_jobs", lane="batch", where=where) == 0
        assert number(part, "artdream_lane_oldest_seconds", lane="batch", where=where) == 0
    assert number(part, "artdream_present", part="worker", state="ready") == 1
    assert number(part, "artdream_present", part="display", state="showing") == 1
