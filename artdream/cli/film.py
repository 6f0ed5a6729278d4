"""`artdream film`: one MP4 of all visible dreams of an evening, made while no guest waits."""

import contextlib
import re
import shutil
import time
from functools import partial
from pathlib import Path

import redis
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from artdream.cli.evening import Evening, choose_titles
from artdream.cli.options import InterruptedCommand, UsageError, require_folder
from artdream.cli.progress import show_progress_bars
from shared.broker.client import BROKER_OUTAGE, connect
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.table import JobTable
from shared.provenance.statement import Statement
from shared.recipe.canvas import Canvas
from shared.settings import Settings
from worker.clips.dream_pictures import EveningDream, UnusablePicture
from worker.clips.film import Film, FilmStyle, choose_seconds
from worker.clips.film_segments import join_segments

#: Sides of a film in pixels: players show nothing below, and take no more than 4K in H.264.
_MIN_SIDE, _MAX_SIDE = 160, 3840

#: Seconds between two looks at the broker, and until it counts as unavailable.
_POLL_SECONDS, _BROKER_TIMEOUT_SECONDS = 2.0, 5.0


def parse_size(text: str) -> Canvas:
    """Parse WIDTHxHEIGHT. Raises UsageError unless both are even, as yuv420p needs them, and possible for a film."""
    match = re.fullmatch("([0-9]{1,5})x([0-9]{1,5})", text)
    if not match or any(int(side) % 2 or not _MIN_SIDE <= int(side) <= _MAX_SIDE for side in match.groups()):
        raise UsageError(
            f"A film cannot have {text} pixels: say two even numbers from {_MIN_SIDE} to {_MAX_SIDE}, "
            "such as 1920x1080."
        )
    return Canvas(int(match[1]), int(match[2]))


def make_film(
    evening: Evening,
    target: Path,
    size: Canvas,
    console: Console,
    *,
    title: str | None,
    subtitle: str | None,
    closing: str | None,
    seconds: float | None,
    guest_pause: "GuestPause | None",
) -> None:
    """Make the film of an evening at `target`, an MP4; continue what an earlier call with the same target began.

    title, subtitle: by default the event's. closing: by default the title. seconds: of each dream. guest_pause: makes
    room for guests' jobs. Raises ArtDreamError if there is no dream or a file cannot be written, StoreError, and
    InterruptedCommand on Ctrl-C.
    """
    if target.suffix.lower() != ".mp4":
        raise UsageError(f"The film is an MP4: end {target} with .mp4.")
    require_folder(target)
    dreams = evening.list_dreams()
    parts = target.with_name(f".{target.name}.parts")
    try:
        parts.mkdir(exist_ok=True)
        seconds = seconds or _remember_seconds(parts, choose_seconds(len(dreams)))
        title, subtitle = choose_titles(evening, title, subtitle, dreams)
        style = FilmStyle(
            size,
            seconds,
            title,
            subtitle,
            title if closing is None else closing,
            evening.appearance.colors,
            evening.appearance.logo,
        )
        with show_progress_bars(console, MofNCompleteColumn(), TimeRemainingColumn()) as progress:
            task = progress.add_task("film", total=len(dreams))
            before_each = partial(guest_pause.wait, progress, task) if guest_pause else lambda: None
            film = Film(evening.store, style, parts, before_each)
            segments = _make_segments(film, evening, dreams, progress, task)
            join_segments(segments, target, Statement.of_collection(title))
    except KeyboardInterrupt:
        raise InterruptedCommand(f"Interrupted: the same command continues {target} where it stopped.") from None
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be made: {error.strerror or error}.") from error
    shutil.rmtree(parts, ignore_errors=True)
    console.print(
        f"{target}: {len(segments) - 2} dreams of {seconds:g} s, {size.width}×{size.height}, "
        f"{target.stat().st_size / 1e6:.1f} MB.",
        soft_wrap=True,
        markup=False,
    )


def _make_segments(
    film: Film, evening: Evening, dreams: list[EveningDream], progress: Progress, task: TaskID
) -> list[Path]:
    """Return the files of the film in order: title, dreams, end. Repeats until no dream was hidden meanwhile."""
    reported = set[str]()
    while True:
        progress.update(task, completed=0, total=len(dreams))
        segments, shown = [film.make_title()], list[EveningDream]()
        for dream in dreams:
            try:
                segments.append(film.make_dream(dream, shown[-1] if shown else None))
                shown.append(dream)
            except UnusablePicture as error:
                if dream.job_id not in reported:
                    progress.console.print(f"A dream is left out: {error}", soft_wrap=True, markup=False)
                    reported.add(dream.job_id)
            progress.advance(task)
        segments.append(film.make_end(shown))
        if (now := evening.list_dreams()) == dreams:
            return segments
        dreams = now


def _remember_seconds(parts: Path, seconds: float) -> float:
    """Return the seconds that an earlier call chose for each dream; if there was none, those of this call."""
    file = parts / "seconds"
    with contextlib.suppress(OSError, ValueError):
        return float(file.read_text())
    draft = parts / "seconds.draft"
    draft.write_text(f"{seconds:g}")
    draft.replace(file)
    return seconds


class GuestPause:
    """Lets the film wait while guests' jobs are queued or running, as far as a broker can be asked."""

    def __init__(self, settings: Settings) -> None:
        """Without a broker nothing is waited for."""
        try:
            self._client: redis.Redis | None = connect(settings.broker, timeout=_BROKER_TIMEOUT_SECONDS)
        except ArtDreamError:  # none is configured: the store is read on a machine of its own
            self._client = None
        self._next_look, self._is_announced = 0.0, False

    def wait(self, progress: Progress, task: TaskID) -> None:
        """Return when no guest's job is queued or running; call it often."""
        if time.monotonic() < self._next_look:
            return
        description = progress.tasks[0].description
        if self._has_guests():
            if not self._is_announced:
                progress.console.print("Guests’ photos are being dreamt: the film pauses meanwhile.", soft_wrap=True)
            self._is_announced = True
            progress.update(task, description="waiting")
            while self._has_guests():
                time.sleep(_POLL_SECONDS)
            progress.update(task, description=description)
        self._next_look = time.monotonic() + _POLL_SECONDS

    def _has_guests(self) -> bool:
        """Return whether guests' jobs are queued or running; False if the broker is unavailable."""
        if self._client is None:
            return False
        try:
            return count_queued(self._client, Lane.LIVE) > 0 or any(
                record.job.lane is Lane.LIVE for record in JobTable(self._client).list_leased()
            )
        except BROKER_OUTAGE:
            return False
