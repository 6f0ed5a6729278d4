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

from producer.decoding.convert import DREAM_CAMERA, Photo
from producer.decoding.formats import Unreadable
from producer.decoding.pool import DecoderPool, limits_from_settings
from producer.detection.guest_uploads import GuestUploadFolder
from producer.detection.stability import StabilityTracker, StableFile
from producer.detection.watched_folder import WatchedFolder
from producer.outbox.ledger import File, FileVersion
from producer.outbox.outbox import DiskUnavailable, Outbox
from producer.outbox.relay import OutboxRelay
from producer.outbox.submission import SubmissionClient
from producer.recipe_choice import RecipeChoice
from shared.jobs.job import Job
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Seconds between two looks at the whole folders where no event asked for one: events get lost.
FOLDER_SCAN_INTERVAL_SECONDS = 2.0

#: Seconds between two looks at the files that are not yet whole.
STABILITY_POLL_INTERVAL_SECONDS = 0.02

#: Seconds that an idle producer takes at most to notice that it shall stop.
IDLE_POLL_INTERVAL_SECONDS = 0.2

#: Pictures decoded at a time.
DECODER_COUNT = 2

#: Photos decoded before the one in front of them is in the spool, so that a full disk does not fill the memory.
MAX_PHOTOS_IN_MEMORY = 4

#: Seconds between two tries to write the spool.
DISK_RETRY_DELAY_SECONDS = 1.0

#: Seconds that what is being delivered gets to finish at the end.
SHUTDOWN_GRACE_SECONDS = 2.0


def run(settings: Settings, stop: threading.Event, *, folders: Sequence[Path] = ()) -> None:
    """Take in what is and what arrives in folders, the inbox by default, until `stop` is set; return two seconds later.

    What the display takes in from guests comes besides, from the data folder. Writes there only; the folders are never
    changed. While the store or the broker is away photos wait in
    the spool, and go out in order when it is back. Raises ArtDreamError where a folder, the recipe or the broker's
    address is missing.
    """
    changed = threading.Event()
    watched = [WatchedFolder(path, changed) for path in dict.fromkeys(folders or [settings.inbox])]
    detail = ", ".join(str(folder.path) for folder in watched)
    guests = GuestUploadFolder(settings.data, changed)
    with contextlib.ExitStack() as opened:
        intake = SubmissionClient(settings)
        menu = RecipeChoice(settings, intake.client)
        spool = Outbox(intake.ledger)
        delivery = OutboxRelay(intake, spool, menu, f"{socket.gethostname()}-{os.getpid()}", detail)
        decoders = opened.enter_context(
            DecoderPool(DECODER_COUNT, limits_from_settings(settings, menu.default_recipes))
        )
        settling = StabilityTracker(
            decoders, stable_after_seconds=settings.settle_seconds, give_up_after_seconds=settings.patience_seconds
        )
        delivery.start()
        try:
            for folder in watched:
                opened.enter_context(folder)
                logger.info("Watching %s, recipe “%s”.", folder.path, settings.recipe)
            opened.enter_context(guests)
            acceptance = _OutboxWriter(intake, spool, delivery, menu, guests)
            _process_folders([*watched, guests], changed, settling, acceptance, stop)
        finally:
            delivery.stop(SHUTDOWN_GRACE_SECONDS)
            if not delivery.is_alive():
                intake.close()


class _OutboxWriter:
    """Brings settled files into the spool; those that it cannot write yet are kept."""

    def __init__(
        self,
        submission_client: SubmissionClient,
        outbox: Outbox,
        relay: OutboxRelay,
        recipe_choice: RecipeChoice,
        guest_uploads: GuestUploadFolder,
    ) -> None:
        self._ledger, self._outbox, self._relay = submission_client.ledger, outbox, relay
        self._recipe_choice, self._guest_uploads = recipe_choice, guest_uploads
        self._pending: deque[StableFile] = deque()
        self._retry_at = 0.0

    @property
    def free_slots(self) -> int:
        """How many more photos may be held in memory."""
        return MAX_PHOTOS_IN_MEMORY - len(self._pending)

    def load_processed_files(self, folders: Sequence[WatchedFolder]) -> dict[Path, FileVersion]:
        """Return the files that were dealt with, each in the state it had then."""
        return {
            path: mark for folder in folders for path, mark in self._ledger.list_processed_files(folder.path).items()
        }

    def remove_processed_uploads(self, processed: dict[Path, FileVersion]) -> None:
        """Remove what guests sent and the spool has."""
        self._guest_uploads.remove_processed(self._ledger, processed)

    def write(self, stable_files: list[StableFile]) -> list[File]:
        """Spool files, and return those that are in the spool by now."""
        self._pending.extend(stable_files)
        done = []
        while self._pending and time.monotonic() >= self._retry_at:
            try:
                self._write_file(self._pending[0])
            except DiskUnavailable as full:
                if not self._retry_at:
                    logger.warning("%s Photos wait where they are until it can.", full)
                self._retry_at = time.monotonic() + DISK_RETRY_DELAY_SECONDS
                break
            if self._retry_at:
                logger.warning("The data folder can be written again.")
            self._retry_at = 0.0
            done.append(self._pending.popleft().file)
        return done

    def _write_file(self, stable_file: StableFile) -> None:
        file, photo = stable_file.file, stable_file.photo_or_error
        sending = self._guest_uploads.parse_request(file.path)
        if isinstance(photo, Photo) and photo.camera == DREAM_CAMERA and sending:  # somebody waits for an answer
            photo = Unreadable("is a dream already")
        if isinstance(photo, Photo) and photo.camera == DREAM_CAMERA:
            self._outbox.ignore(file, photo.photo_id)
            logger.info("%s is a dream already, and is left alone.", make_printable(file.path))
        elif isinstance(photo, Photo):
            # AirDrop does not tell who sent it; a camera is the next best thing.
            recipe, submitter = sending or (self._recipe_choice.choose_recipe(photo.photo_id), photo.camera)
            job = Job(photo_id=photo.photo_id, recipe=recipe, submitter=submitter, stages=stable_file.stages)
            self._outbox.add(job, photo.jpeg, file)
        else:
            note = self._outbox.add_refusal(file, stable_file.photo_id, str(photo))
            logger.warning("%s %s. It was set aside: %s", make_printable(file.path), photo, note)
        self._relay.notify()


def _process_folders(
    folders: Sequence[WatchedFolder],
    changed: threading.Event,
    stability_tracker: StabilityTracker,
    outbox_writer: _OutboxWriter,
    stop: threading.Event,
) -> None:
    """Bring files from the folders through settling into the spool."""
    done, underway = outbox_writer.load_processed_files(folders), dict[Path, FileVersion]()
    next_look = 0.0
    while not stop.is_set():
        if changed.is_set() or time.monotonic() >= next_look:
            changed.clear()  # before the look, so that what happens meanwhile asks for another
            next_look = time.monotonic() + FOLDER_SCAN_INTERVAL_SECONDS
            outbox_writer.remove_processed_uploads(done)
            for folder in folders:
                for path, mark in folder.list_files().items():
                    if path not in underway and done.get(path) != mark:
                        stability_tracker.track(File(path, mark))
        settled = stability_tracker.poll(outbox_writer.free_slots)
        underway |= {one.file.path: one.file.version for one in settled}
        for file in outbox_writer.write(settled):
            done[file.path] = underway.pop(file.path)
            changed.set()  # it may have changed while nobody looked at it
        if len(stability_tracker) or underway:
            stop.wait(STABILITY_POLL_INTERVAL_SECONDS)
        else:
            changed.wait(IDLE_POLL_INTERVAL_SECONDS)
