"""Watch folders and submit every photo that appears in them."""

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
from producer.decoding.formats import NotAPicture, Unreadable
from producer.decoding.pool import DecoderPool, limits_from_settings
from producer.detection.companions import is_companion
from producer.detection.guest_uploads import GuestRequest, GuestUploadFolder
from producer.detection.stability import StabilityTracker, StableFile
from producer.detection.watched_folder import InboxFolder, WatchedFolder
from producer.ledger import File, FileVersion, Ledger
from producer.outbox.outbox import DiskUnavailable, Outbox
from producer.outbox.relay import OutboxRelay
from producer.outbox.submission import SubmissionClient
from producer.recipe_choice import RecipeChoice
from shared.errors import ArtDreamError
from shared.jobs.job import Job, Origin
from shared.jobs.refusal import RefusalCode
from shared.settings import Settings
from shared.storage.quarantine import make_printable

logger = logging.getLogger(__name__)

#: Seconds between two scans of the folders if no event triggered one: file system events get lost.
FOLDER_SCAN_INTERVAL_SECONDS = 2.0

#: Pause after a scan, as a multiple of its duration: events of a large folder, which come with every written block, may
#: not keep a core busy.
SCAN_PAUSE_FACTOR = 4

#: Seconds between two polls of the files that are not yet stable.
STABILITY_POLL_INTERVAL_SECONDS = 0.02

#: Seconds that an idle producer takes at most to notice a request to stop.
IDLE_POLL_INTERVAL_SECONDS = 0.2

#: Decoder processes.
DECODER_COUNT = 2

#: Decoded photos that are not yet in the outbox, at most, so that a full disk does not fill the memory.
MAX_PHOTOS_IN_MEMORY = 4

#: Seconds between two attempts to write to the outbox.
DISK_RETRY_DELAY_SECONDS = 1.0

#: Seconds that the relay has to finish its submission at shutdown.
SHUTDOWN_GRACE_SECONDS = 2.0


def run(settings: Settings, stop: threading.Event, *, folders: Sequence[Path] = (), new_only: bool = False) -> None:
    """Submit the photos in folders, present and future, until `stop` is set; then return within about two seconds.

    folders: the inbox by default, whose folders are looked into as well. Guest uploads in the data folder are submitted
    too. Watched folders are never modified; only the data folder is written. Files that are no pictures are refused if
    they are in the inbox or from a guest, and left alone in other folders; companions of a picture are always left
    alone. new_only: leave alone all files that are in a folder when it is watched for the first time from this data
    folder. While the store or the broker is unavailable, photos wait in the outbox and are submitted
    afterwards. Raises ArtDreamError if a folder, the recipe or the broker's URL is missing, if a folder cannot be read,
    or if the relay has ended.
    """
    changed = threading.Event()
    watched_folders = [
        InboxFolder(path, changed, settings.data)
        if path.absolute() == settings.inbox.absolute()
        else WatchedFolder(path, changed)
        for path in dict.fromkeys(folders or [settings.inbox])
    ]
    detail = ", ".join(str(folder.path) for folder in watched_folders)
    guest_uploads = GuestUploadFolder(settings.data, changed)
    with contextlib.ExitStack() as stack:
        submission_client = SubmissionClient(settings)
        recipe_choice = RecipeChoice(settings, submission_client.client)
        outbox = Outbox(submission_client.ledger)
        relay = OutboxRelay(submission_client, outbox, recipe_choice, f"{socket.gethostname()}-{os.getpid()}", detail)
        decoder_pool = stack.enter_context(
            DecoderPool(DECODER_COUNT, limits_from_settings(settings, recipe_choice.default_recipes))
        )
        stability_tracker = StabilityTracker(
            decoder_pool,
            stable_after_seconds=settings.settle_seconds,
            give_up_after_seconds=settings.patience_seconds,
            on_decode=submission_client.expect_photo,
        )
        relay.start()
        try:
            for folder in watched_folders:
                stack.enter_context(folder)
                if new_only:
                    _record_baseline(folder, submission_client.ledger)
                logger.info("Watching %s, recipe “%s”.", folder.path, settings.recipe)
            stack.enter_context(guest_uploads)
            inbox = settings.inbox.absolute()
            outbox_writer = _OutboxWriter(submission_client, outbox, relay, recipe_choice, inbox, guest_uploads)
            _process_folders([*watched_folders, guest_uploads], changed, stability_tracker, outbox_writer, relay, stop)
        finally:
            relay.stop(SHUTDOWN_GRACE_SECONDS)
            if not relay.is_alive():
                submission_client.close()


def _record_baseline(folder: WatchedFolder, ledger: Ledger) -> None:
    """Record the present files of a folder as processed, unless this was done at an earlier start."""
    if ledger.has_baseline(folder.path):
        return
    try:
        files = [File(path, version) for path, version in folder.scan().items()]
    except OSError as error:
        raise ArtDreamError(f"The folder {folder.path} cannot be read: {error.strerror}.") from error
    ledger.record_baseline(folder.path, files)
    logger.info("%d files that are in %s already are left alone.", len(files), folder.path)


class _OutboxWriter:
    """Writes stable files to the outbox. Keeps those that it could not write, and retries."""

    def __init__(
        self,
        submission_client: SubmissionClient,
        outbox: Outbox,
        relay: OutboxRelay,
        recipe_choice: RecipeChoice,
        inbox: Path,
        guest_uploads: GuestUploadFolder,
    ) -> None:
        self._ledger, self._outbox, self._relay = submission_client.ledger, outbox, relay
        self._recipe_choice, self._inbox, self._guest_uploads = recipe_choice, inbox, guest_uploads
        self._pending: deque[StableFile] = deque()
        self._retry_at = 0.0

    @property
    def free_slots(self) -> int:
        """Number of further photos that may be held in memory."""
        return MAX_PHOTOS_IN_MEMORY - len(self._pending)

    def load_processed_files(self, folders: Sequence[WatchedFolder]) -> dict[Path, FileVersion]:
        """Return the processed files of folders, each with the version that was processed. Raises LedgerError."""
        return {
            path: version
            for folder in folders
            for path, version in self._ledger.list_processed_files(folder.path).items()
        }

    def announce_uploads(self) -> None:
        """Let the display know that guest uploads are taken."""
        self._guest_uploads.announce()

    def remove_processed_uploads(self, processed: dict[Path, FileVersion]) -> None:
        """Delete the guest uploads that are in the outbox."""
        self._guest_uploads.remove_processed(self._ledger, processed)

    def write(self, stable_files: list[StableFile]) -> list[File]:
        """Write files to the outbox. Returns the files written by this call, including earlier pending ones."""
        self._pending.extend(stable_files)
        written = []
        while self._pending and time.monotonic() >= self._retry_at:
            try:
                self._write_file(self._pending[0])
            except DiskUnavailable as error:
                if not self._retry_at:
                    logger.warning("%s Photos wait where they are until it can.", error)
                self._retry_at = time.monotonic() + DISK_RETRY_DELAY_SECONDS
                break
            if self._retry_at:
                logger.warning("The data folder can be written again.")
            self._retry_at = 0.0
            written.append(self._pending.popleft().file)
        return written

    def _write_file(self, stable_file: StableFile) -> None:
        file, photo = stable_file.file, stable_file.photo_or_error
        guest_request = self._guest_uploads.parse_request(file.path)
        # A guest's phone waits for an answer, so the file is refused, not ignored.
        if isinstance(photo, Photo) and photo.camera == DREAM_CAMERA and guest_request:
            photo = Unreadable("is a dream already", RefusalCode.DREAM)
        if isinstance(photo, Photo) and photo.camera == DREAM_CAMERA:
            self._outbox.ignore(file, photo.photo_id)
            logger.info("%s is a dream already, and is left alone.", make_printable(file.path))
        elif _may_be_film(photo) and is_companion(file.path.name, _list_names(file.path.parent)):
            self._outbox.ignore(file, stable_file.photo_id)  # The film of a Live Photo that came before its picture.
        elif isinstance(photo, Photo):
            job = self._make_job(photo, guest_request).model_copy(update={"stages": stable_file.stages})
            self._outbox.add(job, photo.jpeg, file, photo.working_jpeg, photo.motion)
        elif isinstance(photo, NotAPicture) and not self._is_for_photos(file.path):
            self._outbox.ignore(file, stable_file.photo_id)
            logger.info("%s %s, and is left alone.", make_printable(file.path), photo)
        else:
            reason_path = self._outbox.add_refusal(file, stable_file.photo_id, str(photo), photo.cause)
            logger.warning("%s %s. The reason is in %s", make_printable(file.path), photo, reason_path)
        self._relay.notify()

    def _make_job(self, photo: Photo, guest_request: GuestRequest | None) -> Job:
        """Return the job of a photo: as its guest asked for, or as the installation chooses for its inbox."""
        if guest_request is None:
            # AirDrop does not report the sender; the camera is the closest substitute.
            recipe, comparison = self._recipe_choice.choose_recipe(photo.photo_id)
            return Job(
                photo_id=photo.photo_id,
                recipe=recipe,
                submitter=photo.camera,
                origin=Origin.INBOX,
                comparison=comparison,
            )
        (recipe, comparison), upload = guest_request
        return Job(
            photo_id=photo.photo_id,
            recipe=recipe,
            seed=upload.seed,
            lane=upload.lane,
            submitter=upload.guest_id,
            origin=upload.origin,
            comparison=comparison,
        )

    def _is_for_photos(self, path: Path) -> bool:
        """Return whether a file is in a folder that is for photos only: others hold somebody's documents."""
        return path.is_relative_to(self._inbox) or path.is_relative_to(self._guest_uploads.path)


def _may_be_film(photo: Photo | Unreadable) -> bool:
    """Return whether a file is no still picture: a video, or something that cannot be decoded here."""
    return bool(photo.motion) if isinstance(photo, Photo) else isinstance(photo, NotAPicture)


def _list_names(folder: Path) -> set[str]:
    """Return the names in a folder in lower case; none if it cannot be read."""
    try:
        return {path.name.lower() for path in folder.iterdir()}
    except OSError:
        return set()


def _process_folders(
    folders: Sequence[WatchedFolder],
    changed: threading.Event,
    stability_tracker: StabilityTracker,
    outbox_writer: _OutboxWriter,
    relay: OutboxRelay,
    stop: threading.Event,
) -> None:
    """Track new files in the folders until they are stable, and write them to the outbox, until `stop` is set."""
    processed, unwritten = outbox_writer.load_processed_files(folders), dict[Path, FileVersion]()
    next_scan_at = earliest_scan_at = 0.0
    while not stop.is_set():
        if not relay.is_alive():
            raise ArtDreamError("The producer no longer submits photos, for the reason in its log: start it again.")
        started = time.monotonic()
        if started >= (earliest_scan_at if changed.is_set() else next_scan_at):
            changed.clear()  # Before the scan, so that a change during the scan triggers another one.
            next_scan_at = started + FOLDER_SCAN_INTERVAL_SECONDS
            outbox_writer.announce_uploads()
            outbox_writer.remove_processed_uploads(processed)
            for folder in folders:
                for path, version in folder.list_files().items():
                    if path not in unwritten and processed.get(path) != version:
                        stability_tracker.track(File(path, version))
            scanned = time.monotonic()
            earliest_scan_at = scanned + min(SCAN_PAUSE_FACTOR * (scanned - started), FOLDER_SCAN_INTERVAL_SECONDS)
        stable_files = stability_tracker.poll(outbox_writer.free_slots)
        unwritten |= {stable_file.file.path: stable_file.file.version for stable_file in stable_files}
        for file in outbox_writer.write(stable_files):
            processed[file.path] = unwritten.pop(file.path)
            changed.set()  # The file may have changed while it was not tracked.
        if len(stability_tracker) or unwritten:
            stability_tracker.wait_for_decoder(STABILITY_POLL_INTERVAL_SECONDS)
        elif changed.is_set():
            stop.wait(min(max(0.0, earliest_scan_at - time.monotonic()), IDLE_POLL_INTERVAL_SECONDS))
        else:
            changed.wait(IDLE_POLL_INTERVAL_SECONDS)
