"""A batch: what was sent together, remembered here so that its dreams can be collected later."""

import itertools
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from producer.api import FileSubmission
from producer.outbox.ledger import Ledger
from producer.outbox.submission import Unavailable
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError, did_you_mean
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.settings import Settings
from shared.storage.object_names import dream_name, sidecar_name
from shared.storage.store import Store, StoreError

#: Seconds between two looks at the jobs that are waited for.
JOB_POLL_INTERVAL_SECONDS = 0.5


@dataclass(frozen=True)
class BatchItem:
    """One file with one recipe."""

    path: Path
    recipe: str
    seed: int
    #: "" where the file was refused.
    job_id: str
    reason: str


@dataclass(frozen=True)
class BatchItemResult:
    """What became of a piece in the end."""

    item: BatchItem
    #: Where its dream is; None where it has none.
    dream: Path | None
    #: Why it has none.
    reason: str = ""


class Batch:
    """One batch of one data folder."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self.name = name
        self._item_numbers = itertools.count()

    @classmethod
    def create(cls, ledger: Ledger) -> "Batch":
        """Begin a new one: its name is the day and a few letters."""
        return cls(ledger, f"{time.strftime('%m%d')}-{secrets.token_hex(2)}")

    @classmethod
    def find(cls, ledger: Ledger, name: str) -> "Batch":
        """Return one that was sent before. Raises ArtDreamError where there is none of that name."""
        names = [one for (one,) in ledger.query("SELECT batch FROM batches GROUP BY batch ORDER BY max(at) DESC")]
        if name not in names:
            known = did_you_mean(name, names) if names else "None was sent from this data folder."
            raise ArtDreamError(f"There is no batch “{name}”. {known}")
        return cls(ledger, name)

    def add(self, submission: FileSubmission) -> None:
        """Remember what became of one file. Raises LedgerError."""
        row = (
            os.fsencode(submission.path),
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
        """Return everything in it, in the order in which it was sent. Raises LedgerError."""
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
    """Yield what became of each piece as soon as it has ended, and put its dream into a folder, if there is one.

    Dreams are named after photo and recipe, the same each time. wait: for what has not ended; otherwise that is left
    out. on_away: called whenever store or broker is away; where it returns, the same is tried again. Raises Away
    without it, and ArtDreamError where the folder cannot be written.
    """
    table, store, names = JobTable(connect(settings.broker)), Store(settings.store), _choose_file_names(items)
    waiting: dict[str, list[BatchItem]] = {}
    for piece in items:
        if piece.job_id:
            waiting.setdefault(piece.job_id, []).append(piece)
        else:
            yield BatchItemResult(piece, None, piece.reason)
    while waiting:
        try:
            for job_id, state in zip(list(waiting), table.get_states(list(waiting)), strict=True):
                if (ended := _find_failure_reason(job_id, state, table, store)) is not None:
                    for piece in waiting.pop(job_id):
                        yield _fetch_dream(piece, ended, store, output_folder and output_folder / names[piece])
        except (StoreError, *BROKER_UNAVAILABLE) as error:
            away = Unavailable(str(error) if isinstance(error, StoreError) else f"The broker is away: {error}.")
            if on_unavailable is None:
                raise away from error
            on_unavailable(away)
            continue
        if not wait:
            return
        if waiting:
            time.sleep(JOB_POLL_INTERVAL_SECONDS)


def _find_failure_reason(job_id: str, state: State | None, table: JobTable, store: Store) -> str | None:
    """Return why a job has no dream, "" where it has one, None where it has not ended."""
    match state:
        case State.COMPLETED:
            return ""
        case State.FAILED:
            entry = table.get_record(job_id)
            return entry.reason if entry else "failed"
        case State.CANCELLED:
            return "was cancelled"
        case State.DELETED:
            return "was deleted"
        case None:  # the broker has forgotten it; the store never does
            return "" if store.get(sidecar_name(job_id)) else "is not known to the broker: send it again"
        case _:
            return None


def _fetch_dream(item: BatchItem, reason: str, store: Store, target: Path | None) -> BatchItemResult:
    if reason or target is None:
        return BatchItemResult(item, None, reason)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not store.fetch(dream_name(item.job_id), target):
            return BatchItemResult(item, None, "has lost its dream: it is no longer in the store")
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror}.") from error
    return BatchItemResult(item, target)


def _choose_file_names(items: list[BatchItem]) -> dict[BatchItem, str]:
    """Name the dreams: by photo and recipe, by seed where it is not 0, by job where that is not enough."""
    plain = {p: f"{p.path.stem}-{p.recipe}" + (f"-{p.seed}" if p.seed else "") for p in items}
    # Two folders may hold an IMG_1 each, and some file systems know no capitals.
    jobs = {(plain[p].casefold(), p.job_id) for p in items}
    count = Counter(name for name, _ in jobs)
    return {p: name + (f"-{p.job_id[:6]}" if count[name.casefold()] > 1 else "") + ".jpg" for p, name in plain.items()}
