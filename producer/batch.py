"""Batches: jobs that were sent together, recorded in the ledger so that their dreams can be collected later."""

import errno
import itertools
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from producer.api import FileSubmission
from producer.ledger import Ledger
from producer.outbox.submission import Unavailable
from shared.broker.client import BROKER_UNAVAILABLE, connect, describe_error
from shared.errors import ArtDreamError, did_you_mean
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.settings import Settings
from shared.storage.object_names import dream_name, sidecar_name
from shared.storage.store import Store, StoreError

#: Seconds between two queries for the states of unfinished jobs.
JOB_POLL_INTERVAL_SECONDS = 0.5

#: Bytes of the longest name of a dream's file, without the job's id and the suffix. File systems take 255 for a name;
#: the rest is for these two, and for what `Store.fetch` adds to it while it writes the file.
MAX_STEM_BYTES = 220

#: Characters of the job's id in the names of dreams of photos with the same name, and of photos whose names were cut
#: off, of which thousands may begin alike.
_SHORT_ID_LENGTH, _LONG_ID_LENGTH = 6, 12

#: Errors that every other file in the output folder would meet as well.
_FOLDER_ERRORS = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EROFS}


@dataclass(frozen=True)
class BatchItem:
    """One file with one recipe."""

    path: Path
    recipe: str
    seed: int
    #: "" if the file was refused.
    job_id: str
    #: Why the file was refused; "" if it was not.
    reason: str


@dataclass(frozen=True)
class BatchItemResult:
    """Final result of one batch item."""

    item: BatchItem
    #: The file that the dream was written to; None if there is no dream or no output folder.
    dream: Path | None
    #: Why there is no dream; "" if there is one.
    reason: str = ""


class Batch:
    """One batch in the ledger of one data folder."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self.name = name
        self._item_numbers = itertools.count()

    @classmethod
    def create(cls, ledger: Ledger) -> "Batch":
        """Return a new batch, named after the date and a random suffix, such as `0712-3fa9`."""
        return cls(ledger, f"{time.strftime('%m%d')}-{secrets.token_hex(2)}")

    @classmethod
    def find(cls, ledger: Ledger, name: str) -> "Batch":
        """Return a batch that was sent before. Raises ArtDreamError if there is no batch of that name."""
        names = [batch for (batch,) in ledger.query("SELECT batch FROM batches GROUP BY batch ORDER BY max(at) DESC")]
        if name not in names:
            hint = did_you_mean(name, names) if names else "None was sent from this data folder."
            raise ArtDreamError(f"There is no batch “{name}”. {hint}")
        return cls(ledger, name)

    def add(self, submission: FileSubmission) -> None:
        """Record the submission of one file. Raises LedgerError."""
        row = (
            os.fsencode(submission.path.absolute()),
            submission.recipe,
            submission.seed,
            submission.job_id or "",
            submission.reason,
            time.time(),
        )
        with self._ledger.transaction() as db:
            db.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self.name, next(self._item_numbers), *row)
            )

    def list_items(self) -> list[BatchItem]:
        """Return all items of the batch, in the order in which they were sent. Raises LedgerError."""
        query = "SELECT path, recipe, seed, job_id, reason FROM batches WHERE batch = ? ORDER BY number"
        return [BatchItem(Path(os.fsdecode(path)), *rest) for path, *rest in self._ledger.query(query, self.name)]


def collect_dreams(
    items: list[BatchItem],
    settings: Settings,
    output_folder: Path | None,
    *,
    wait: bool,
    on_unavailable: Callable[[Unavailable], None] | None = None,
) -> Iterator[BatchItemResult]:
    """Yield the result of each item as soon as its job has ended, and write its dream into the output folder, if any.

    Dreams are named after photo and recipe, with the same name on every call. A dream that cannot be written under its
    name does not stop the others. wait: wait for unfinished jobs; otherwise they are omitted. on_unavailable: called
    each time the store or the broker is unavailable; when it returns, the query is retried. Raises Unavailable without
    it, and ArtDreamError if the folder cannot be written, or a dream would replace one of the photos.
    """
    table, store, file_names = JobTable(connect(settings.broker)), Store(settings.store), _choose_file_names(items)
    if output_folder:
        _require_no_photo_at([output_folder / file_name for file_name in file_names.values()], items)
    unfinished: dict[str, list[BatchItem]] = {}
    for item in items:
        if item.job_id:
            unfinished.setdefault(item.job_id, []).append(item)
        else:
            yield BatchItemResult(item, None, item.reason)
    while unfinished:
        try:
            for job_id, state in zip(list(unfinished), table.get_states(list(unfinished)), strict=True):
                if (reason := _find_failure_reason(job_id, state, table, store)) is not None:
                    results = [
                        _fetch_dream(item, reason, store, output_folder and output_folder / file_names[item])
                        for item in unfinished[job_id]
                    ]
                    del unfinished[job_id]  # Only now: a fetch that fails is retried with the other items of its job.
                    yield from results
        except (StoreError, *BROKER_UNAVAILABLE) as error:
            unavailable = Unavailable(describe_error(error))
            if on_unavailable is None:
                raise unavailable from error
            on_unavailable(unavailable)
            continue
        if not wait:
            return
        if unfinished:
            time.sleep(JOB_POLL_INTERVAL_SECONDS)


def _require_no_photo_at(targets: list[Path], items: list[BatchItem]) -> None:
    """Raise ArtDreamError if one of the targets is a photo of the batch, by whatever name."""
    photos = {_find_inode(item.path) for item in items} - {None}
    for target in targets:
        if _find_inode(target) in photos:
            raise ArtDreamError(
                f"{target} is a photo of the batch, which would be lost: name another folder with --out."
            )


def _find_inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: the path contains a NUL byte.
        return None
    return status.st_dev, status.st_ino


def _find_failure_reason(job_id: str, state: State | None, table: JobTable, store: Store) -> str | None:
    """Return why a job has no dream, "" if it has one, None if it has not ended."""
    match state:
        case State.COMPLETED:
            return ""
        case State.FAILED:
            record = table.get_record(job_id)
            return record.reason if record else "failed"
        case State.CANCELLED:
            return "was cancelled"
        case State.DELETED:
            return "was deleted"
        case None:  # The broker's record has expired or was lost; the store is permanent.
            return "" if store.get(sidecar_name(job_id)) else "is not known to the broker: send it again"
        case _:
            return None


def _fetch_dream(item: BatchItem, reason: str, store: Store, target: Path | None) -> BatchItemResult:
    if reason or target is None:
        return BatchItemResult(item, None, reason)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtDreamError(f"{target.parent} cannot be written: {error.strerror}.") from error
    try:
        if not store.fetch(dream_name(item.job_id), target):
            return BatchItemResult(item, None, "has lost its dream: it is no longer in the store")
    except StoreError:
        raise
    except ArtDreamError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _FOLDER_ERRORS:
            raise
        return BatchItemResult(item, None, f"has a dream, but {str(error).removesuffix('.')}")
    return BatchItemResult(item, target)


def _choose_file_names(items: list[BatchItem]) -> dict[BatchItem, str]:
    """Return a file name for each dream: photo and recipe, the seed if not 0, the job's id if needed to be unique.

    Names of photos that are too long for it are cut off, and have more of the job's id.
    """
    endings = {item: f"-{item.recipe}" + (f"-{item.seed}" if item.seed else "") for item in items}
    stems = {item: item.path.stem + ending for item, ending in endings.items()}
    # Two folders may each contain an IMG_1, and some file systems ignore case.
    jobs = {(stems[item].casefold(), item.job_id) for item in items}
    job_count = Counter(stem for stem, _ in jobs)
    file_names = dict[BatchItem, str]()
    for item, stem in stems.items():
        id_length = _SHORT_ID_LENGTH if job_count[stem.casefold()] > 1 else 0
        if len(os.fsencode(stem)) > MAX_STEM_BYTES:
            id_length = _LONG_ID_LENGTH
            stem = _cut(item.path.stem, MAX_STEM_BYTES - len(os.fsencode(endings[item]))) + endings[item]
        file_names[item] = stem + (f"-{item.job_id[:id_length]}" if id_length else "") + ".jpg"
    return file_names


def _cut(text: str, max_bytes: int) -> str:
    """Return the beginning of a text, of at most a number of bytes in a file's name."""
    while len(os.fsencode(text)) > max_bytes:
        text = text[:-1]
    return text
