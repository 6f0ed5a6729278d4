"""Watch folders and take in every photo that arrives there."""

import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from producer.decoding.convert import DREAMER, Photo
from producer.decoding.formats import Unreadable
from producer.decoding.pool import Decoders, settings_limits
from producer.detection.guest_uploads import Guests
from producer.detection.stability import Settled, Settling
from producer.detection.watched_folder import Folder
from producer.outbox.ledger import File, Mark
from producer.outbox.outbox import Full, Spool
from producer.outbox.relay import Delivery
from producer.outbox.submission import Intake
from producer.recipe_choice import Menu
from shared.jobs.job import Job
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Seconds between two looks at the whole folders where no event asked for one: events get lost.
LOOK_EVERY = 2.0

#: Seconds between two looks at the files that are not yet whole.
TICK = 0.02

#: Seconds that an idle producer takes at most to notice that it shall stop.
IDLE_TICK = 0.2

#: Pictures decoded at a time.
DECODERS = 2

#: Photos decoded before the one in front of them is in the spool, so that a full disk does not fill the memory.
AHEAD = 4

#: Seconds between two tries to write the spool.
FULL_PAUSE = 1.0

#: Seconds that what is being delivered gets to finish at the end.
GRACE = 2.0


def run(settings: Settings, stop: threading.Event, *, folders: Sequence[Path] = ()) -> None:
    """Take in what is and what arrives in folders, the inbox by default, until `stop` is set; return two seconds later.

    What the display takes in from guests comes besides, from the data folder. Writes there only; the folders are never
    changed. While the store or the broker is away photos wait in
    the spool, and go out in order when it is back. Raises ArtDreamError where a folder, the recipe or the broker's
    address is missing.
    """
    changed = threading.Event()
    watched = [Folder(path, changed) for path in dict.fromkeys(folders or [settings.inbox])]
    detail = ", ".join(str(folder.path) for folder in watched)
    guests = Guests(settings.data, changed)
    with contextlib.ExitStack() as opened:
        intake = Intake(settings)
        menu = Menu(settings, intake.client)
        spool = Spool(intake.ledger)
        delivery = Delivery(intake, spool, menu, f"{socket.gethostname()}-{os.getpid()}", detail)
        decoders = opened.enter_context(Decoders(DECODERS, settings_limits(settings, menu.own)))
        settling = Settling(decoders, settle=settings.settle_seconds, patience=settings.patience_seconds)
        delivery.start()
        try:
            for folder in watched:
                opened.enter_context(folder)
                logger.info("Watching %s, recipe “%s”.", folder.path, settings.recipe)
            opened.enter_context(guests)
            acceptance = _Acceptance(intake, spool, delivery, menu, guests)
            _watch([*watched, guests], changed, settling, acceptance, stop)
        finally:
            delivery.end(GRACE)
            if not delivery.is_alive():
                intake.close()


class _Acceptance:
    """Brings settled files into the spool; those that it cannot write yet are kept."""

    def __init__(self, intake: Intake, spool: Spool, delivery: Delivery, menu: Menu, guests: Guests) -> None:
        self._ledger, self._spool, self._delivery = intake.ledger, spool, delivery
        self._menu, self._guests = menu, guests
        self._kept: deque[Settled] = deque()
        self._again = 0.0

    @property
    def room(self) -> int:
        """How many more photos may be held in memory."""
        return AHEAD - len(self._kept)

    def seen(self, folders: Sequence[Folder]) -> dict[Path, Mark]:
        """Return the files that were dealt with, each in the state it had then."""
        return {path: mark for folder in folders for path, mark in self._ledger.seen(folder.path).items()}

    def clear(self, done: dict[Path, Mark]) -> None:
        """Remove what guests sent and the spool has."""
        self._guests.empty(self._ledger, done)

    def take(self, settled: list[Settled]) -> list[File]:
        """Spool files, and return those that are in the spool by now."""
        self._kept.extend(settled)
        done = []
        while self._kept and time.monotonic() >= self._again:
            try:
                self._accept(self._kept[0])
            except Full as full:
                if not self._again:
                    logger.warning("%s Photos wait where they are until it can.", full)
                self._again = time.monotonic() + FULL_PAUSE
                break
            if self._again:
                logger.warning("The data folder can be written again.")
            self._again = 0.0
            done.append(self._kept.popleft().file)
        return done

    def _accept(self, settled: Settled) -> None:
        file, photo = settled.file, settled.result
        sending = self._guests.sending(file.path)
        if isinstance(photo, Photo) and photo.camera == DREAMER and sending:  # somebody waits for an answer
            photo = Unreadable("is a dream already")
        if isinstance(photo, Photo) and photo.camera == DREAMER:
            self._spool.ignore(file, photo.photo_id)
            logger.info("%s is a dream already, and is left alone.", make_printable(file.path))
        elif isinstance(photo, Photo):
            # AirDrop does not tell who sent it; a camera is the next best thing.
            recipe, submitter = sending or (self._menu.recipe_of(photo.photo_id), photo.camera)
            job = Job(photo_id=photo.photo_id, recipe=recipe, submitter=submitter, stages=settled.stages)
            self._spool.add(job, photo.jpeg, file)
        else:
            note = self._spool.refuse(file, settled.photo_id, str(photo))
            logger.warning("%s %s. It was set aside: %s", make_printable(file.path), photo, note)
        self._delivery.call()


def _watch(
    folders: Sequence[Folder],
    changed: threading.Event,
    settling: Settling,
    acceptance: _Acceptance,
    stop: threading.Event,
) -> None:
    """Bring files from the folders through settling into the spool."""
    done, underway = acceptance.seen(folders), dict[Path, Mark]()
    next_look = 0.0
    while not stop.is_set():
        if changed.is_set() or time.monotonic() >= next_look:
            changed.clear()  # before the look, so that what happens meanwhile asks for another
            next_look = time.monotonic() + LOOK_EVERY
            acceptance.clear(done)
            for folder in folders:
                for path, mark in folder.files().items():
                    if path not in underway and done.get(path) != mark:
                        settling.notice(File(path, mark))
        settled = settling.poll(acceptance.room)
        underway |= {one.file.path: one.file.mark for one in settled}
        for file in acceptance.take(settled):
            done[file.path] = underway.pop(file.path)
            changed.set()  # it may have changed while nobody looked at it
        if len(settling) or underway:
            stop.wait(TICK)
        else:
            changed.wait(IDLE_TICK)
