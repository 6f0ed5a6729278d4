"""The print agent with a real CUPS: each sheet comes out exactly once, or waits, or is cancelled."""

import threading
import time

import pytest
import redis

from display.moderation import Moderation
from display.printing.agent import run
from display.printing.follower import EVENT_LIMIT_REASON, HIDDEN_REASON
from display.state.dream_index import DreamIndex
from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.printing.prints import AUTOMATIC
from shared.printing.records import persist_print
from shared.printing.table import PrintTable
from shared.redis_keys import USAGE_COUNTS_KEY
from shared.runtime_settings import initialize_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import dream_name
from tests.display.fake_pipeline import FakePipeline
from tests.display.printing.conftest import GUEST, AgentRunner, list_printed_ids, list_states, order
from tests.print_server import PrintServer
from tests.waiting import wait_until


@pytest.fixture
def moderation(print_settings: Settings, pipeline: FakePipeline) -> Moderation:
    index = DreamIndex()
    index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    return Moderation(print_settings, index)


def refresh(moderation: Moderation, pipeline: FakePipeline) -> None:
    """Let the operator's display know the dreams that were completed meanwhile."""
    moderation._dream_index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)


def wait_for_states(prints: PrintTable, job: Job, *states: str) -> None:
    def list_current() -> list[str]:
        return [str(state) for state in list_states(prints, job.id)]

    wait_until(lambda: list_current() == list(states), str(states), explain=lambda: str(list_current()))


def wait_for_printer(prints: PrintTable, text: str) -> None:
    """Wait until the printer reports a state, or a message."""
    wait_until(lambda: (status := prints.get_printer()) and text in (status.state, status.message), text)


def print_automatically(client: redis.Redis) -> None:
    """Turn automatic printing on, as the operator does."""
    update_runtime_settings(client, print_since=float(client.time()[0]) - 1)


def test_what_a_guest_orders_comes_out_once_for_each_copy(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    with running_agent():
        order(prints, print_settings, job.id, copies=2)
        wait_for_states(prints, job, "printed", "printed")
    assert list_printed_ids(print_server) == [f"{job.id}-{GUEST}-1", f"{job.id}-{GUEST}-2"]
    document = print_server.read_documents()[0]
    assert document.startswith(b"%PDF")
    box = document.partition(b"/MediaBox [ ")[2].partition(b"]")[0].split()
    assert [float(number) / 72 * 25.4 for number in box] == pytest.approx([0, 0, 101.6, 152.4], abs=0.01)
    assert prints.count(0.0) == (2, 2)
    counted = [number for name, number in client.hgetall(USAGE_COUNTS_KEY).items() if str(name).endswith("|printed")]
    assert counted == ["2"], "the console's numbers know of them"


def test_an_order_that_a_phone_sends_twice_is_one_order(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
) -> None:
    job = pipeline.add_dream((10, 90, 40))
    with running_agent():
        order(prints, print_settings, job.id, first=1, copies=2)
        order(prints, print_settings, job.id, first=1, copies=2)
        wait_for_states(prints, job, "printed", "printed")
    assert len(print_server.list_printed()) == 2


def test_every_dream_is_printed_by_itself_if_the_operator_says_so_and_no_earlier_one(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    earlier = pipeline.add_dream((10, 90, 40))
    with running_agent():
        wait_for_printer(prints, "ready")
        update_runtime_settings(client, print_since=time.time())
        jobs = [pipeline.add_dream((40 * n, 90, 30)) for n in range(3)]
        wait_until(lambda: len(print_server.list_printed()) == 3, "all are printed")
    assert list_printed_ids(print_server) == [f"{job.id}-{AUTOMATIC}-1" for job in jobs]
    assert list_states(prints, earlier.id) == []


def test_the_setting_begins_with_the_first_start_and_the_operator_can_end_it(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    print_server: PrintServer,
    client: redis.Redis,
    prints: PrintTable,
) -> None:
    pipeline.add_dream((10, 90, 40))
    with running_agent(print_automatic=True):
        wait_until(lambda: client.hexists("artdream:steering", "print_since"), "it begins")
        job = pipeline.add_dream((25, 40, 90))
        wait_until(lambda: list_printed_ids(print_server) == [f"{job.id}-{AUTOMATIC}-1"], "it is printed")
        update_runtime_settings(client, print_since=0.0)
    with running_agent(print_automatic=True):
        wait_for_printer(prints, "ready")
        late = pipeline.add_dream((50, 40, 90))
        order(prints, Settings(_env_file=None, prints_per_guest=1), late.id)
        wait_for_states(prints, late, "printed")
    assert len(print_server.list_printed()) == 2


def test_a_held_dream_is_printed_when_it_is_approved_and_a_hidden_or_deleted_one_never(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_server: PrintServer,
    client: redis.Redis,
    moderation: Moderation,
) -> None:
    initialize_runtime_settings(client, pipeline.store)
    update_runtime_settings(client, approval=True)
    print_automatically(client)
    with running_agent():
        wait_for_printer(prints, "ready")
        approved, hidden, deleted = (pipeline.add_dream((40 * n, 90, 30)) for n in range(3))
        refresh(moderation, pipeline)
        moderation.hide(hidden.id)
        moderation.delete(deleted.id)
        assert print_server.list_printed() == []
        moderation.show(approved.id)
        wait_until(lambda: list_printed_ids(print_server) == [f"{approved.id}-{AUTOMATIC}-1"], "it is printed")
    assert list_states(prints, hidden.id) == list_states(prints, deleted.id) == []
    assert prints.request(Settings(_env_file=None), hidden.id, GUEST, event=0.0) == "hidden"


def test_a_sheet_that_waits_is_cancelled_when_its_dream_is_hidden_or_deleted(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    moderation: Moderation,
) -> None:
    jobs = hidden, deleted, shown = [pipeline.add_dream((40 * n, 90, 30)) for n in range(3)]
    refresh(moderation, pipeline)
    print_server.pause()
    with running_agent():
        for job in jobs:
            order(prints, print_settings, job.id)
        wait_until(lambda: all(list_states(prints, job.id) == ["submitted"] for job in jobs), "the printer has all")
        moderation.hide(hidden.id)
        moderation.delete(deleted.id)
        wait_for_states(prints, hidden, "cancelled")
        wait_for_states(prints, deleted, "cancelled")
        print_server.resume()
        wait_for_states(prints, shown, "printed")
    assert list_printed_ids(print_server) == [f"{shown.id}-{GUEST}-1"]
    assert prints.list_of_dream(hidden.id)[0].reason == HIDDEN_REASON
    assert prints.count(0.0) == (1, 1), "what did not come out counts to no limit"
    assert not list(pipeline.store.list_objects(f"dreams/{deleted.id}/")), "nothing of a deleted dream is kept"


def test_a_dream_that_was_hidden_while_no_agent_ran_is_not_printed(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    moderation: Moderation,
) -> None:
    hidden, shown = pipeline.add_dream((25, 40, 90)), pipeline.add_dream((50, 40, 90))
    refresh(moderation, pipeline)
    for job in (hidden, shown):
        order(prints, print_settings, job.id)
    moderation.hide(hidden.id)
    with running_agent():
        wait_for_states(prints, shown, "printed")
        wait_for_states(prints, hidden, "cancelled")
    assert len(print_server.list_printed()) == 1


def test_sheets_wait_while_there_is_no_paper_and_everybody_sees_why(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    jobs = [pipeline.add_dream((40 * n, 90, 30)) for n in range(2)]
    print_server.take_paper()

    def read_heartbeat() -> str:
        heartbeats = HeartbeatRegistry(client).list_heartbeats()
        return next((heartbeat.state for heartbeat in heartbeats if heartbeat.part is Component.PRINTER), "")

    with running_agent():
        for job in jobs:
            order(prints, print_settings, job.id)
        wait_until(lambda: read_heartbeat() == "out of paper", "the state is known", explain=read_heartbeat)
        printer = prints.get_printer()
        assert printer
        assert (printer.state, printer.is_working) == ("out of paper", False)
        assert print_server.list_printed() == []
        print_server.add_paper()
        wait_until(lambda: len(print_server.list_printed()) == 2, "both come out")
        wait_until(lambda: read_heartbeat() == "ready", "the printer is ready", explain=read_heartbeat)
    assert read_heartbeat() == "", "an agent that was stopped is gone at once"


def test_sheets_wait_here_while_the_queue_takes_none_or_the_server_is_down(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
) -> None:
    job = pipeline.add_dream((25, 40, 90))
    print_server.refuse()
    with running_agent():
        wait_for_printer(prints, "stopped")
        order(prints, print_settings, job.id)
        print_server.stop()
        wait_for_printer(prints, "offline")
        assert list_states(prints, job.id)[0] in ("requested", "submitting")
        print_server.start()
        print_server.accept()
        wait_for_states(prints, job, "printed")
    assert len(print_server.list_printed()) == 1


def test_a_wiped_broker_prints_nothing_again_and_loses_nothing(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    initialize_runtime_settings(client, pipeline.store)
    print_automatically(client)
    Moderation(print_settings, DreamIndex()).persist_settings()
    with running_agent():
        printed = pipeline.add_dream((25, 40, 90))
        wait_for_states(prints, printed, "printed")
        print_server.pause()
        at_the_printer = pipeline.add_dream((50, 40, 90))
        wait_for_states(prints, at_the_printer, "submitted")
        print_server.refuse()
        wait_for_printer(prints, "Rejecting Jobs")
        waiting = pipeline.add_dream((75, 40, 90))
        wait_for_states(prints, waiting, "requested")
        persist_print(pipeline.store, order(prints, print_settings, printed.id))
        client.flushall()
        missed = pipeline.add_dream((100, 40, 90))  # while the agent is about to notice
        print_server.accept()
        print_server.resume()
        wait_until(
            lambda: len(print_server.list_printed()) >= 5, "all come out", explain=lambda: str(prints.list_queue())
        )
        wait_until(lambda: not prints.list_queue(), "nothing is left", explain=lambda: str(prints.list_queue()))
    expected = [f"{job.id}-{AUTOMATIC}-1" for job in (printed, at_the_printer, waiting, missed)]
    assert sorted(list_printed_ids(print_server)) == sorted([*expected, f"{printed.id}-{GUEST}-1"])
    assert prints.count(0.0) == (5, 5)


def test_a_job_that_a_rebuilt_installation_completes_again_is_not_printed_again(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    update_runtime_settings(client, opened_at=1000.0)  # of an event that has passed, whose prints are not restored
    print_automatically(client)
    with running_agent():
        job = pipeline.add_dream((25, 40, 90))
        wait_for_states(prints, job, "printed")
        print_server.forget_all()
        client.flushall()
        wait_until(prints.is_restored, "the agent has noticed")
        print_automatically(client)
        assert pipeline.add_dream((25, 40, 90)).id == job.id
        other = pipeline.add_dream((50, 40, 90))
        wait_for_states(prints, other, "printed")
    assert list_printed_ids(print_server) == [f"{job.id}-{AUTOMATIC}-1", f"{other.id}-{AUTOMATIC}-1"]


def test_a_dream_that_was_completed_while_no_agent_ran_is_printed_once(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    print_automatically(client)
    job = pipeline.add_dream((25, 40, 90))
    for _ in range(2):
        with running_agent():
            wait_for_states(prints, job, "printed")
    assert list_printed_ids(print_server) == [f"{job.id}-{AUTOMATIC}-1"]


def test_what_the_limit_of_the_event_leaves_out_is_not_printed_when_it_is_raised(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    print_automatically(client)
    update_runtime_settings(client, prints_per_event=1)
    with running_agent():
        first, left_out = pipeline.add_dream((25, 40, 90)), pipeline.add_dream((50, 40, 90))
        wait_for_states(prints, left_out, "cancelled")
        wait_for_states(prints, first, "printed")
        assert prints.list_of_dream(left_out.id)[0].reason == EVENT_LIMIT_REASON
        update_runtime_settings(client, prints_per_event=2)
    with running_agent():
        last = pipeline.add_dream((75, 40, 90))
        wait_for_states(prints, last, "printed")
    assert list_printed_ids(print_server) == [f"{job.id}-{AUTOMATIC}-1" for job in (first, last)]


def test_a_dream_that_cannot_be_printed_fails_with_a_reason_and_holds_up_no_other(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
) -> None:
    damaged, good = pipeline.add_dream((25, 40, 90)), pipeline.add_dream((50, 40, 90))
    pipeline.store.put(dream_name(damaged.id), b"\xff\xd8 no more")
    with running_agent():
        order(prints, print_settings, damaged.id)
        order(prints, print_settings, good.id)
        wait_for_states(prints, good, "printed")
        wait_for_states(prints, damaged, "failed")
        assert "damaged" in prints.list_of_dream(damaged.id)[0].reason


def test_the_operator_repeats_a_print_that_was_lost(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
) -> None:
    job = pipeline.add_dream((25, 40, 90))
    with running_agent():
        print_server.pause()
        record = order(prints, print_settings, job.id)
        wait_for_states(prints, job, "submitted")
        print_server.cancel_all()
        wait_for_states(prints, job, "cancelled")
        assert prints.count(0.0).accepted == 0
        print_server.resume()
        assert prints.retry(record)
        wait_for_states(prints, job, "printed")
    assert [name.split(" ")[2:] for name in print_server.list_printed()] == [[record.id, "2"]]
    assert prints.count(0.0) == (1, 1)


def test_of_two_agents_one_prints_and_the_other_takes_over(
    running_agent: AgentRunner,
    pipeline: FakePipeline,
    prints: PrintTable,
    print_settings: Settings,
    print_server: PrintServer,
    client: redis.Redis,
) -> None:
    store = {"store_url": print_settings.store}

    def list_agents() -> list[str]:
        heartbeats = HeartbeatRegistry(client).list_heartbeats()
        return [heartbeat.state for heartbeat in heartbeats if heartbeat.part is Component.PRINTER]

    with running_agent(**store, data=print_settings.data / "other"):
        with running_agent(**store):
            jobs = [pipeline.add_dream((40 * n, 90, 30)) for n in range(4)]
            for job in jobs:
                order(prints, print_settings, job.id)
            wait_until(lambda: not prints.list_queue(), "all are printed")
        late = pipeline.add_dream((225, 40, 90))
        order(prints, print_settings, late.id)
        wait_for_states(prints, late, "printed")
    assert sorted(list_printed_ids(print_server)) == sorted(f"{job.id}-{GUEST}-1" for job in (*jobs, late))
    assert list_agents() == []


def test_a_data_folder_has_one_agent_and_printing_needs_a_printer(
    running_agent: AgentRunner, print_settings: Settings, prints: PrintTable
) -> None:
    with running_agent():
        wait_until(lambda: prints.get_printer(), "the agent runs")
        with pytest.raises(ArtDreamError, match="Another `artdream print` runs"):
            run(print_settings, threading.Event())
    with pytest.raises(ArtDreamError, match="No printer is named"):
        run(print_settings.model_copy(update={"printer": ""}), threading.Event())
    with pytest.raises(ArtDreamError, match="no printer's address"):
        run(print_settings.model_copy(update={"printer": "http://x/y"}), threading.Event())
