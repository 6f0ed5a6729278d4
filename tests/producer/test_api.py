"""`producer.submit`: any number of files become jobs, each once."""

import errno
import os
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from producer import submit
from producer.outbox.submission import Outcome, Unavailable
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import motion_name
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.producer.decoding.test_pool import replace_decoder_program
from tests.producer.decoding.videos import encode_video, make_moving_pictures
from tests.servers import SshServer, Valkey


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(6)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_jpeg(make_picture(number)))
    return paths


def test_each_file_and_recipe_is_one_job_in_its_lane(
    settings: Settings, client: redis.Redis, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear guest,")
    paths = [*pictures, tmp_path / "letter.txt", tmp_path / "nothing.heic", tmp_path]
    submissions = list(submit(paths, ["lines", load_recipe("animals")], seed=7, settings=settings))
    assert [(submission.path, submission.recipe) for submission in submissions if submission.job_id] == [
        (path, recipe) for path in pictures for recipe in ("lines", "animals")
    ]
    refused = [
        (submission.path.name, submission.reason.partition(" (")[0])
        for submission in submissions
        if submission.outcome is Outcome.REFUSED
    ]
    assert sorted(set(refused)) == sorted(
        [("letter.txt", "is not a picture"), ("nothing.heic", "does not exist"), (tmp_path.name, "is no file")]
    )
    assert count_queued(client, Lane.BATCH) == 12
    job = JobTable(client).get_job(submissions[0].job_id or "")
    assert job is not None
    assert (job.seed, job.lane) == (7, Lane.BATCH)
    assert not (settings.data / "quarantine").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0b", "is no path, as it contains a NUL character: name one file in each line"),
        ("x" * 300, "cannot be read: file name too long"),
        ("0.jpg/a.jpg", "does not exist"),
        ("link", "cannot be read: too many levels of symbolic links"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused_and_the_next_file_is_sent(
    settings: Settings, pictures: list[Path], name: str, reason: str
) -> None:
    """Seen failing with ValueError and OSError."""
    folder = pictures[0].parent
    (folder / "link").symlink_to("link")
    submissions = list(submit([folder / name, pictures[0]], ["lines"], settings=settings))
    assert [(submission.outcome, submission.reason) for submission in submissions] == [
        (Outcome.REFUSED, reason),
        (Outcome.SUBMITTED, ""),
    ]


def test_a_folder_that_cannot_be_read_says_so(
    settings: Settings, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", fail)
    [submission] = submit([pictures[0].parent], ["lines"], settings=settings)
    assert submission.reason == "cannot be read: permission denied"


def test_a_video_that_is_sent_goes_out_with_its_moving_pictures(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(encode_video(make_moving_pictures(10)))
    [submission] = submit([tmp_path / "a.mp4"], settings=settings)
    assert submission.job_id
    job = JobTable(connect(settings.broker)).get_job(submission.job_id)
    assert job
    motion = Store(settings.store).get(motion_name(job.photo_id))
    assert motion
    assert motion[4:8] == b"ftyp"


def test_what_was_sent_before_is_known_and_not_even_read(
    settings: Settings, client: redis.Redis, pictures: list[Path], tmp_path: Path
) -> None:
    first = list(submit(pictures, ["lines"], settings=settings))
    for path in pictures[:3]:  # now unreadable, with size and time unchanged
        status = path.stat()
        path.write_bytes(b"?" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = list(submit(pictures, ["lines"], settings=settings))
    assert [submission.outcome for submission in again] == [Outcome.KNOWN] * 6
    assert [submission.job_id for submission in again] == [submission.job_id for submission in first]
    assert count_queued(client, Lane.BATCH) == 6


def test_another_recipe_of_a_file_that_was_sent_is_submitted(settings: Settings, pictures: list[Path]) -> None:
    list(submit(pictures[:1], ["lines"], settings=settings))
    submissions = list(submit(pictures[:1], ["lines", "animals"], settings=settings))
    assert [submission.outcome for submission in submissions] == [Outcome.KNOWN, Outcome.SUBMITTED]


def test_while_the_broker_is_away_a_program_is_told_in_one_sentence(settings: Settings, pictures: list[Path]) -> None:
    with Valkey() as server:
        url = SecretStr(server.url)
    with pytest.raises(Unavailable, match=r"^The broker is unavailable: .*refused.*\?$"):
        list(submit(pictures, settings=settings.model_copy(update={"broker_url": url})))


def test_who_waits_for_the_broker_loses_nothing(settings: Settings, pictures: list[Path]) -> None:
    with Valkey() as server:
        port, url = server.port, server.url
    servers: list[Valkey] = []

    def start_broker(error: Unavailable) -> None:
        if not servers:
            servers.append(Valkey(port=port))
            servers[0].start()

    try:
        unavailable_settings = settings.model_copy(update={"broker_url": SecretStr(url)})
        submissions = list(submit(pictures, settings=unavailable_settings, on_unavailable=start_broker))
        with connect(url) as client:
            assert count_queued(client, Lane.BATCH) == len(submissions) == 6
    finally:
        for server in servers:
            server.stop()


def test_if_no_decoder_starts_a_program_is_told_in_one_sentence(
    settings: Settings, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: each file was refused, as if it made the decoder crash."""
    replace_decoder_program("import no_such_module", monkeypatch)
    with pytest.raises(ArtDreamError, match=r"no decoder process starts: ModuleNotFoundError: .*'no_such_module'\.$"):
        list(submit(pictures, settings=settings))


def test_an_unknown_recipe_is_refused_before_anything_is_sent(settings: Settings, pictures: list[Path]) -> None:
    with pytest.raises(ArtDreamError, match="animalls"):
        list(submit(pictures, ["animalls"], settings=settings))


def test_a_program_reaches_the_broker_behind_an_ssh_host_too(
    settings: Settings, client: redis.Redis, pictures: list[Path], sshd: SshServer
) -> None:
    """Fails without `open_broker_tunnel`: the broker's address on the SSH host was used as one of this network."""
    ssh = {"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    submissions = submit(pictures[:1], ["lines"], settings=settings.model_copy(update=ssh))
    assert next(submissions).outcome is Outcome.SUBMITTED
    assert sshd.list_sessions()
    assert list(submissions) == []
    assert count_queued(client, Lane.BATCH) == 1
