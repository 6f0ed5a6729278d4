"""`artdream film`: what an evening's guests saw, in one MP4, and nothing that they may not see."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import redis
from rich.console import Console

from artdream.cli import film as film_module
from artdream.cli.evening import Evening
from artdream.cli.film import GuestPause, make_film
from producer.outbox.submission import SubmissionClient
from shared.jobs.job import Job, Lane
from shared.jobs.queue import queue_keys
from shared.jobs.table import JobTable
from shared.provenance.embedding import read_statement
from shared.provenance.statement import Statement
from shared.recipe.canvas import Canvas
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.deletion import write_tombstone
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, dream_name
from shared.storage.sidecar import Visibility
from shared.storage.store import Store
from tests.evenings import (
    BLUE,
    FIRST_DREAM_AT,
    GREEN,
    RED,
    YELLOW,
    Color,
    set_visibility,
    store_dream,
)
from tests.pictures import encode_jpeg, make_picture
from tests.stack import run_in_process
from tests.waiting import wait_until
from worker.clips import film as film_maker
from worker.clips.film import choose_grid, choose_seconds
from worker.clips.video_encoder import BT709

SIZE = Canvas(320, 180)


@pytest.fixture
def make(settings: Settings, tmp_path: Path) -> Callable[..., str]:
    """Make the film of the store at `tmp_path/film.mp4`, and return what is printed."""

    def make(guest_pause: GuestPause | None = None, seconds: float | None = 1.0) -> str:
        output = io.StringIO()
        make_film(
            Evening(settings, None, None),
            tmp_path / "film.mp4",
            SIZE,
            Console(file=output, width=400),
            title="Night",
            subtitle="of dreams",
            closing="Good night",
            seconds=seconds,
            guest_pause=guest_pause,
        )
        return output.getvalue()

    return make


def read_colors(path: Path, among: tuple[Color, ...] = (RED, GREEN, BLUE, YELLOW)) -> list[Color]:
    """Return the colors of dreams that fill the middle of a film, in order, each once for each time that it appears."""
    colors: list[Color | None] = [None]
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            middle = pixels[60:110, 130:190].reshape(-1, 3).astype(int)
            near = [color for color in among if np.abs(middle - color).max() < 24]
            if (color := near[0] if near else None) != colors[-1]:
                colors.append(color)
    return [color for color in colors if color]


#: `artdream film`, which stops before it encodes a fourth segment.
STOPS_BEFORE_THE_FOURTH = """
import signal
from artdream.cli.main import main
from worker.clips import film
encode, encoded = film.encode_segment, []
def encode_three(pictures, path, *arguments):
    if len(encoded) == 3:
        signal.pause()
    encoded.append(encode(pictures, path, *arguments))
film.encode_segment = encode_three
main()
"""


def list_segments(folder: Path) -> list[Path]:
    return sorted(folder.joinpath(".film.mp4.parts").glob("*.mp4"))


def test_a_film_shows_the_visible_dreams_of_the_evening_one_after_the_other(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    for number, color in ((2, BLUE), (0, RED), (1, GREEN)):
        store_dream(store, number, color)
    store_dream(store, 3, YELLOW, visibility=Visibility.HIDDEN)
    store_dream(store, 4, YELLOW, visibility=Visibility.HELD)
    write_tombstone(store, store_dream(store, 5, YELLOW).id)
    assert "3 dreams of 1 s" in make()
    assert read_colors(tmp_path / "film.mp4") == [RED, GREEN, BLUE]
    assert not list_segments(tmp_path)


def test_a_film_begins_with_its_title_and_plays_everywhere(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    store_dream(store, 0, RED)
    make()
    data = tmp_path.joinpath("film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # it plays before it is completely loaded
    assert read_statement(data) == Statement.of_collection("Night")
    with av.open(io.BytesIO(data), "r") as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", *SIZE)
        assert (context.colorspace, context.color_primaries, context.color_trc) == (BT709, BT709, BT709)
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert frames[0].max() < 60  # it fades in
    title = frames[75]
    assert title[:60].max() < 40
    assert title[60:110].max() > 180  # letters
    assert frames[-1].max() < 40


def test_a_film_has_the_look_of_its_event(
    settings: Settings, store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    store_dream(store, 0, RED)
    store.put(RUNTIME_SETTINGS_NAME, json.dumps({"appearance_default": {"theme": "light"}}).encode())
    make()
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert frames[75][:20].min() > 220


def test_a_film_that_was_killed_resumes_without_making_anything_twice(
    settings: Settings, store: Store, make: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, color in enumerate((RED, GREEN, BLUE, YELLOW)):
        store_dream(store, number, color)
    options = ["--title", "Night", "--subtitle", "of dreams", "--closing", "Good night", "--size", "320x180"]
    options += ["--seconds", "1", "--now"]
    environment = os.environ | settings.to_environment()
    command = [sys.executable, "-c", STOPS_BEFORE_THE_FOURTH, "film", "film.mp4", *options]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    wait_until(lambda: len(list_segments(tmp_path)) >= 3, "some segments are made")
    process.send_signal(signal.SIGKILL)
    process.wait()
    made = {path: path.stat().st_ino for path in list_segments(tmp_path)}
    assert not tmp_path.joinpath("film.mp4").exists()
    encoded = list[Path]()
    encode = film_maker.encode_segment  # type: ignore[attr-defined]

    def record(pictures: Iterator[object], path: Path, *arguments: object) -> None:
        encoded.append(path)
        encode(pictures, path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(film_maker, "encode_segment", record)
    make()
    assert read_colors(tmp_path / "film.mp4") == [RED, GREEN, BLUE, YELLOW]
    assert len(encoded) + len(made) == 6
    assert made.keys().isdisjoint(encoded)


def test_a_film_keeps_the_seconds_of_each_dream_when_it_resumes(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    store_dream(store, 0, RED)
    parts = tmp_path / ".film.mp4.parts"
    parts.mkdir()
    (parts / "seconds").write_text("2")  # of more dreams than there are now
    assert "1 dreams of 2 s" in make(seconds=None)


class _Hiding(GuestPause):
    """Hides a dream while the film is made."""

    def __init__(self, settings: Settings, hide: Callable[[], None]) -> None:
        super().__init__(settings)
        self._hide, self._count = hide, 0

    def wait(self, *_: object) -> None:
        self._count += 1
        if self._count == 170:  # after the title and two dreams
            self._hide()


def test_a_dream_that_is_hidden_while_the_film_is_made_is_not_in_it(
    settings: Settings, store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    jobs = [store_dream(store, number, color) for number, color in enumerate((RED, GREEN, BLUE))]
    assert "2 dreams" in make(_Hiding(settings, lambda: set_visibility(store, jobs[1], 1, Visibility.HIDDEN)))
    assert read_colors(tmp_path / "film.mp4") == [RED, BLUE]


def test_a_film_pauses_while_guests_photos_wait_or_are_dreamt(
    settings: Settings,
    client: redis.Redis,
    store: Store,
    make: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(film_module, "_POLL_SECONDS", 0.05)
    store_dream(store, 0, RED)
    guest = Job(photo_id=f"{9:064x}", recipe=load_recipe("lines"), lane=Lane.LIVE)
    with SubmissionClient(settings) as submission:
        submission.submit(guest, encode_jpeg(make_picture(1)))
    looks = 0
    has_guests = GuestPause._has_guests

    def count_looks(pause: GuestPause) -> bool:
        nonlocal looks
        looks += 1
        return has_guests(pause)

    monkeypatch.setattr(GuestPause, "_has_guests", count_looks)
    with ThreadPoolExecutor() as executor:
        film = executor.submit(make, GuestPause(settings))
        wait_until(lambda: looks > 3, "the film asks the broker")
        assert not list_segments(tmp_path)
        table = JobTable(client)
        claim = table.claim(guest, "worker")
        assert claim
        client.delete(*queue_keys(Lane.LIVE))  # as the worker that took the message
        seen = looks
        wait_until(lambda: looks > seen + 3, "the film asks the broker again")
        assert not list_segments(tmp_path)
        assert table.fail(claim, "it was a test")
        assert film.result().count("the film pauses") == 1
    assert read_colors(tmp_path / "film.mp4") == [RED]


def test_a_dream_whose_picture_is_damaged_is_left_out_and_named(
    store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    jobs = [store_dream(store, number, color) for number, color in enumerate((RED, GREEN, BLUE))]
    store.put(dream_name(jobs[1].id), b"no picture")
    output = make()
    assert output.count(f"A dream is left out: The picture {dream_name(jobs[1].id)} in the store is damaged.") == 1
    assert "2 dreams" in output
    assert read_colors(tmp_path / "film.mp4") == [RED, BLUE]


def test_the_evening_begins_with_the_current_event(
    settings: Settings, store: Store, make: Callable[..., str], tmp_path: Path
) -> None:
    for number, color in enumerate((RED, GREEN)):
        store_dream(store, number, color)
    store.put(RUNTIME_SETTINGS_NAME, json.dumps({"opened_at": FIRST_DREAM_AT + 30}).encode())
    make()
    assert read_colors(tmp_path / "film.mp4") == [GREEN]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["film.mov"], "end film.mov with .mp4"),
        (["none/film.mp4"], "does not exist: create it first"),
        (["film.mp4", "--size", "321x180"], "A film cannot have 321x180 pixels"),
        (["film.mp4", "--size", "big"], "A film cannot have big pixels"),
        (["film.mp4", "--until", "2020-01-01"], "There is no dream to show"),
        (["film.mp4", "--title", "\U000f0000"], "No font here has \U000f0000"),
    ],
)
def test_what_a_film_cannot_be_made_of_is_said_in_a_sentence(
    settings: Settings, store: Store, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    store_dream(store, 0, RED)
    completed = run_in_process("film", *arguments, "--now", folder=tmp_path, environment=settings.to_environment())
    assert completed.returncode
    assert sentence in completed.stderr.replace("\n", " ")
    assert not tmp_path.joinpath("film.mp4").exists()


def test_a_long_evening_takes_about_a_quarter_of_an_hour_to_watch() -> None:
    assert [choose_seconds(count) for count in (1, 112, 150, 300, 500)] == [8, 8, 6, 3, 3]


@pytest.mark.parametrize("size", [Canvas(1920, 1080), Canvas(1080, 1080), Canvas(1080, 1920)])
@pytest.mark.parametrize("count", [6, 7, 23, 80])
def test_all_dreams_at_once_fill_the_frame(count: int, size: Canvas) -> None:
    columns, rows = choose_grid(count, size)
    assert 0.75 * count <= columns * rows <= count
    assert 0.8 < size.width / columns / (size.height / rows) < 2.3
