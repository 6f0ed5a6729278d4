"""Runtime settings survive a wiped broker, and approval is never lost."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from pydantic import ValidationError

from shared.appearance import Appearance, Theme
from shared.broker.client import connect
from shared.jobs.events import EventReader, RuntimeSettingsChanged
from shared.jobs.job import Job, State
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import (
    initialize_runtime_settings,
    persist_runtime_settings,
    read_runtime_settings,
    update_runtime_settings,
)
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME
from shared.storage.store import Store, StoreError


@pytest.fixture
def table(client: redis.Redis, store: Store) -> JobTable:
    return JobTable(client, initialize=lambda: initialize_runtime_settings(client, store))


def make_job(seed: int = 0) -> Job:
    return Job(photo_id="a" * 64, recipe=load_recipe("animals"), seed=seed)


def apply_settings(client: redis.Redis, store: Store, **changes: object) -> None:
    initialize_runtime_settings(client, store)
    update_runtime_settings(client, **changes)
    persist_runtime_settings(client, store)


def test_a_wiped_broker_is_told_everything_that_was_decided(
    client: redis.Redis, store: Store, settings: Settings
) -> None:
    apply_settings(
        client, store, approval=True, retention_days=7, opened_at=123.5, recipes=("lines", "night"), paused=True
    )
    before = read_runtime_settings(client, settings)
    client.flushall()
    assert read_runtime_settings(client, settings) != before
    assert initialize_runtime_settings(client, store)
    assert read_runtime_settings(client, settings) == before
    assert [type(recorded.event) for recorded in EventReader(client).read()] == [RuntimeSettingsChanged]
    assert not initialize_runtime_settings(client, store)


def test_an_appearance_survives_a_wiped_broker(client: redis.Redis, store: Store, settings: Settings) -> None:
    from_file = Appearance(title="Of the file", accent="#112233")
    changes = {"title": "Of the console", "theme": "light"}
    apply_settings(client, store, appearance_default=from_file, appearance_changes=changes)
    client.flushall()
    assert read_runtime_settings(client, settings).appearance == Appearance()
    initialize_runtime_settings(client, store)
    appearance = read_runtime_settings(client, settings).appearance
    assert appearance == Appearance(title="Of the console", accent="#112233", theme=Theme.LIGHT)
    update_runtime_settings(client, appearance_changes={})
    assert read_runtime_settings(client, settings).appearance == from_file


@pytest.mark.parametrize("changes", [{"accent": "red"}, {"title": "x" * 61}, {"theme": "blue"}])
def test_an_appearance_that_is_not_valid_changes_nothing(
    client: redis.Redis, store: Store, settings: Settings, changes: dict[str, str]
) -> None:
    apply_settings(client, store, appearance_changes={"title": "A title"})
    with pytest.raises(ValidationError):
        update_runtime_settings(client, appearance_changes=changes)
    assert read_runtime_settings(client, settings).appearance == Appearance(title="A title")


def test_what_was_never_decided_stays_as_the_settings_say(
    client: redis.Redis, store: Store, settings: Settings
) -> None:
    apply_settings(client, store, retention_days=7)
    client.flushall()
    initialize_runtime_settings(client, store)
    approval_settings = settings.model_copy(update={"approval": True})
    assert read_runtime_settings(client, approval_settings).approval
    assert read_runtime_settings(client, approval_settings).retention_days == 7


def test_what_was_decided_after_the_loss_is_the_newer_word(
    client: redis.Redis, store: Store, settings: Settings
) -> None:
    apply_settings(client, store, retention_days=7, paused=True)
    client.flushall()
    update_runtime_settings(client, retention_days=3)
    initialize_runtime_settings(client, store)
    persist_runtime_settings(client, store)
    runtime_settings = read_runtime_settings(client, settings)
    assert (runtime_settings.retention_days, runtime_settings.paused) == (3, True)


def test_a_wiped_broker_does_not_wipe_the_note(client: redis.Redis, store: Store) -> None:
    apply_settings(client, store, approval=True)
    stored = store.get(RUNTIME_SETTINGS_NAME)
    client.flushall()
    persist_runtime_settings(client, store)
    assert store.get(RUNTIME_SETTINGS_NAME) == stored


@pytest.mark.parametrize("is_initialized", [False, True])
def test_one_component_that_requires_approval_does_so_for_all(
    client: redis.Redis, store: Store, table: JobTable, settings: Settings, is_initialized: bool
) -> None:
    """Seen failing: each component had its own value, and dreams of the others were shown."""
    if is_initialized:
        initialize_runtime_settings(client, store)
    initialize_runtime_settings(client, store, approval=True)
    assert read_runtime_settings(client, settings).approval
    assert [type(recorded.event) for recorded in EventReader(client).read()] == [RuntimeSettingsChanged]
    table.accept(make_job())
    assert EventReader(client).read()[-1].held
    persist_runtime_settings(client, store)
    client.flushall()
    initialize_runtime_settings(client, store)
    assert read_runtime_settings(client, settings).approval


@pytest.mark.parametrize("is_wiped", [False, True])
def test_what_the_operator_decided_about_approval_survives_the_restart_of_a_component_that_requires_it(
    client: redis.Redis, store: Store, settings: Settings, is_wiped: bool
) -> None:
    initialize_runtime_settings(client, store, approval=True)
    apply_settings(client, store, approval=False)
    if is_wiped:
        client.flushall()
    initialize_runtime_settings(client, store, approval=True)
    assert not read_runtime_settings(client, settings).approval


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{", b'{"approval": "perhaps"}', b"\xff\xfe"])
def test_a_note_that_cannot_be_read_asks_for_approval(
    client: redis.Redis, store: Store, settings: Settings, damaged: bytes
) -> None:
    store.put(RUNTIME_SETTINGS_NAME, damaged)
    initialize_runtime_settings(client, store)
    assert read_runtime_settings(client, settings).approval


def test_a_wiped_broker_takes_no_job_before_it_has_been_told(
    client: redis.Redis, store: Store, table: JobTable, settings: Settings
) -> None:
    apply_settings(client, store, approval=True)
    client.flushall()
    folder = settings.data / "store"
    moved_folder = folder.rename(folder.with_name("away"))
    folder.touch()
    with pytest.raises(StoreError):
        table.accept(make_job())
    assert table.get_state(make_job().id) is None
    assert EventReader(client).read() == []
    folder.unlink()
    moved_folder.rename(folder)
    assert table.accept(make_job()).is_new
    assert [
        recorded.held
        for recorded in EventReader(client).read()
        if not isinstance(recorded.event, RuntimeSettingsChanged)
    ] == [True]


def test_nothing_slips_past_approval_however_often_the_broker_is_wiped(
    client: redis.Redis, broker_url: str, store: Store
) -> None:
    apply_settings(client, store, approval=True)

    def submit_jobs(first_seed: int) -> None:
        with connect(broker_url) as client_of_thread:
            table = JobTable(client_of_thread, initialize=lambda: initialize_runtime_settings(client_of_thread, store))
            for seed in range(first_seed, first_seed + 150):
                table.accept(make_job(seed))

    seen_events = 0
    with ThreadPoolExecutor(4) as executor:
        futures = [executor.submit(submit_jobs, 1000 * number) for number in range(4)]
        while not all(future.done() for future in futures):
            pipeline = client.pipeline()  # read all events and wipe the broker, atomically
            pipeline.xrange("artdream:events")
            pipeline.flushall()
            entries, _ = pipeline.execute()
            job_events = [fields for _, fields in entries if '"steered"' not in fields["event"]]
            assert all("held" in fields for fields in job_events)
            seen_events += len(job_events)
    for future in futures:
        future.result()
    assert seen_events > 100


def test_a_dream_that_nobody_may_see_stays_so_when_its_photo_comes_again(client: redis.Redis, table: JobTable) -> None:
    client.flushall()
    table.restore_holds([make_job().id])
    assert table.get_state(make_job().id) is None
    assert list(table.iter_records()) == []
    assert table.accept(make_job()).is_new
    assert EventReader(client).read()[-1].held
    assert table.get_state(make_job().id) is State.ACCEPTED


def test_a_note_is_written_when_something_changed_and_only_then(
    client: redis.Redis, store: Store, settings: Settings
) -> None:
    initialize_runtime_settings(client, store)
    persisted = persist_runtime_settings(client, store)
    assert store.get(RUNTIME_SETTINGS_NAME) is None  # no setting has been changed
    update_runtime_settings(client, paused=True)
    persisted = persist_runtime_settings(client, store, persisted)
    assert store.get(RUNTIME_SETTINGS_NAME)
    shutil.rmtree(Path(settings.data / "store"))
    assert persist_runtime_settings(client, store, persisted) == persisted
    assert store.get(RUNTIME_SETTINGS_NAME) is None
