"""A secured installation: Redis over TLS with a restricted user, secrets in files, JSON logs and metrics.

One run with typical faults is recorded; each test checks one aspect of the record.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.broker.acl import COMMAND_RULES
from shared.jobs.events import Completed, Failed, Stage
from shared.storage.object_names import sidecar_name
from shared.storage.store import Store
from tests.e2e.installation_run import COMPONENTS, SECRET_MARKERS, InstallationRun, recorded_run
from tests.redis_server import require_redis

#: The whole run is the setup of the first test.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def installation_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InstallationRun]:
    require_redis()
    with recorded_run(tmp_path_factory.mktemp("evening")) as recorded:
        yield recorded


def test_the_least_user_there_can_be_sees_photos_become_dreams_over_tls(installation_run: InstallationRun) -> None:
    assert len({event.job_id for event in installation_run.events_of(Completed)}) == 6
    assert [
        entry for entry in installation_run.denied_commands if entry.startswith(("command", "key", "channel"))
    ] == []


def test_that_user_has_no_permission_that_is_not_used(installation_run: InstallationRun) -> None:
    """Fails if shared/broker/acl.py allows one more command."""
    assert {rule.removeprefix("+") for rule in COMMAND_RULES} - installation_run.called_commands == set()


def test_no_secret_is_in_a_log_an_event_a_sidecar_a_command_line_or_on_the_terminal(
    installation_run: InstallationRun,
) -> None:
    store = Store(installation_run.settings.store)
    texts = {f"log of {part}": installation_run.read_log(part) for part in COMPONENTS} | installation_run.command_output
    texts |= {f"command line {number}": line for number, line in enumerate(installation_run.command_lines)}
    texts |= {f"metrics of {part}": text for part, text in installation_run.metrics.items()}
    texts["events"] = "\n".join(event.model_dump_json() for event in installation_run.events)
    dreams = {event.job_id for event in installation_run.events_of(Completed)} - {installation_run.deleted_job_id}
    sidecars = [store.get(sidecar_name(job_id)) for job_id in dreams]
    texts["sidecars"] = "\n".join((sidecar or b"").decode() for sidecar in sidecars)
    texts["ledger"] = "\n".join(
        file.read_bytes().decode("latin-1") for file in (installation_run.folder / "data").rglob("*") if file.is_file()
    )
    assert all(sidecars)
    assert len(sidecars) == 5
    assert any("artdream worker" in line for line in installation_run.command_lines)
    assert "Cannot connect to rediss://artdream:**@" in texts["log of worker"]
    leaks = {source: marker for source, text in texts.items() for marker in SECRET_MARKERS if marker in text}
    assert leaks == {}


def test_each_event_is_counted_once_and_nothing_of_anybody_is_in_any_count(installation_run: InstallationRun) -> None:
    fields = {name: number for name, number in installation_run.usage_counts.items() if name != "restored"}
    recipe = Path(installation_run.environment["ARTDREAM_RECIPE"]).stem
    totals: Counter[str] = Counter()
    for name, number in fields.items():
        _, kind, *labels = name.split("|")
        assert set(labels) <= {"inbox", "batch", recipe, "no_picture"} | set(map(str, range(137))), name
        totals[kind] += int(number)
    dreams, failures = (installation_run.events_of(kind) for kind in (Completed, Failed))
    assert (totals["completed"], totals["failed"]) == (len(dreams), len(failures))
    assert totals["accepted"] == 7  # three photos, three jobs of a batch, and the one without a photo
    assert (totals["refused"], totals["waited"]) == (1, 3)
    assert all(re.fullmatch("artdream:counted:[0-9a-f]{24}", key) for key in installation_run.counted_keys)


def read_log_lines(installation_run: InstallationRun, part: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in installation_run.read_log(part).splitlines()]


@pytest.mark.parametrize("part", COMPONENTS)
def test_every_line_of_a_part_is_one_object(installation_run: InstallationRun, part: str) -> None:
    lines = read_log_lines(installation_run, part)
    assert lines
    for line in lines:
        assert line.keys() >= {"time", "level", "logger", "message", "part"}


def test_each_stage_of_a_job_is_a_line_with_its_id(installation_run: InstallationRun) -> None:
    job_id = installation_run.events_of(Completed)[0].job_id
    logged_stages = {
        (part, line["stage"])
        for part in COMPONENTS
        for line in read_log_lines(installation_run, part)
        if line.get("job") == job_id and "stage" in line
    }
    assert logged_stages == {
        *(("watch", stage) for stage in (Stage.SETTLE, Stage.CONVERT, Stage.UPLOAD)),
        *(("worker", stage) for stage in (Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH)),
        ("display", "show"),
    }


@pytest.mark.parametrize("part", COMPONENTS)
def test_what_can_be_expected_brings_no_traceback(installation_run: InstallationRun, part: str) -> None:
    """An unavailable broker and store, a killed pool process, an invalid file. Fails without `_ContextFilter`."""
    assert [line for line in read_log_lines(installation_run, part) if "Traceback" in json.dumps(line)] == []
    assert [source for source, output in installation_run.command_output.items() if "Traceback" in output] == []


def test_the_worker_counts_over_all_its_pool_processes(installation_run: InstallationRun) -> None:
    """The first pool process was killed. Fails without `enable_multiprocess_metrics`."""
    metric_value = installation_run.metric_value
    assert metric_value("worker", "artdream_jobs_total", outcome="completed") == 6
    assert metric_value("worker", "artdream_jobs_total", outcome="failed") == 1
    assert metric_value("worker", "artdream_faults_total", kind="expected") == 1
    assert metric_value("worker", "artdream_faults_total", kind="message lost") == 1
    # On a busy machine the process may be killed only after its dream, amid its publishing.
    assert metric_value("worker", "artdream_stage_seconds_count", stage="dream") in (6, 7)
    # One job was started twice, one had no photo.
    assert metric_value("worker", "artdream_stage_seconds_count", stage="queue") == 8
    assert metric_value("worker", "artdream_stage_seconds_sum", stage="dream") > 0.3
    assert metric_value("worker", "artdream_unreadable_total", what="message") == 2


def test_the_producer_counts_what_it_took_and_refused(installation_run: InstallationRun) -> None:
    assert installation_run.metric_value("watch", "artdream_jobs_total", outcome="submitted") == 3
    assert installation_run.metric_value("watch", "artdream_refused_files_total") == 1
    assert installation_run.metric_value("watch", "artdream_stage_seconds_count", stage="convert") == 3


def test_the_display_counts_what_it_could_not_read(installation_run: InstallationRun) -> None:
    assert installation_run.metric_value("display", "artdream_unreadable_total", what="event") == 1
    assert installation_run.metric_value("display", "artdream_stage_seconds_count", stage="show") == 6


@pytest.mark.parametrize("part", COMPONENTS)
def test_every_part_tells_the_lanes_and_who_is_there(installation_run: InstallationRun, part: str) -> None:
    metric_value = installation_run.metric_value
    assert metric_value(part, "artdream_broker_up") == 1
    for where in ("waiting", "in flight"):
        assert metric_value(part, "artdream_lane_jobs", lane="batch", where=where) == 0
        assert metric_value(part, "artdream_lane_oldest_seconds", lane="batch", where=where) == 0
    assert metric_value(part, "artdream_present", part="worker", state="ready") == 1
    assert metric_value(part, "artdream_present", part="display", state="showing") == 1
