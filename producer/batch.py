"""A batch: what was sent together, remembered here so that its dreams can be collected later."""

import itertools
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from producer.api import Sent
from producer.outbox.ledger import Ledger
from producer.outbox.submission import Away
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError, did_you_mean
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.settings import Settings
from shared.storage.object_names import dream_name, sidecar_name
from shared.storage.store import Store, StoreError

#: Seconds between two looks at the jobs that are waited for.
LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Piece:
    """One file with one recipe."""

    path: Path
    recipe: str
    seed: int
    #: "" where the file was refused.
    job_id: str
    reason: str


@dataclass(frozen=True)
class Collected:
    """What became of a piece in the end."""

    piece: Piece
    #: Where its dream is; None where it has none.
    dream: Path | None
    #: Why it has none.
    reason: str = ""


class Batch:
    """One batch of one data folder."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self._ledger = ledger
        self.name = name
        self._numbers = itertools.count()

    @classmethod
    def begin(cls, ledger: Ledger) -> "Batch":
        """Begin a new one: its name is the day and a few letters."""
        return cls(ledger, f"{time.strftime('%m%d')}-{secrets.token_hex(2)}")

    @classmethod
    def find(cls, ledger: Ledger, name: str) -> "Batch":
        """Return one that was sent before. Raises ArtDreamError where there is none of that name."""
        names = [one for (one,) in ledger.read("SELECT batch FROM batches GROUP BY batch ORDER BY max(at) DESC")]
        if name not in names:
            known = did_you_mean(name, names) if names else "None was sent from this data folder."
            raise ArtDreamError(f"There is no batch “{name}”. {known}")
        return cls(ledger, name)

    def add(self, sent: Sent) -> None:
        """Remember what became of one file. Raises LedgerError."""
        row = (os.fsencode(sent.path), sent.recipe, sent.seed, sent.job_id or "", sent.reason, time.time())
        with self._ledger.writing() as db:
            db.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (self.name, next(self._numbers), *row))

    def pieces(self) -> list[Piece]:
        """Return everything in it, in the order in which it was sent. Raises LedgerError."""
        query = "SELECT path, recipe, seed, job_id, reason FROM batches WHERE batch = ? ORDER BY number"
        return [Piece(Path(os.fsdecode(path)), *rest) for path, *rest in self._ledger.read(query, self.name)]


def collect(
    pieces: list[Piece],
    settings: Settings,
    out: Path | None,
    *,
    wait: bool,
    on_away: Callable[[Away], None] | None = None,
) -> Iterator[Collected]:
    """Yield what became of each piece as soon as it has ended, and put its dream into a folder, if there is one.

    Dreams are named after photo and recipe, the same each time. wait: for what has not ended; otherwise that is left
    out. on_away: called whenever store or broker is away; where it returns, the same is tried again. Raises Away
    without it, and ArtDreamError where the folder cannot be written.
    """
    table, store, names = JobTable(connect(settings.broker)), Store(settings.store), _names(pieces)
    waiting: dict[str, list[Piece]] = {}
    for piece in pieces:
        if piece.job_id:
            waiting.setdefault(piece.job_id, []).append(piece)
        else:
            yield Collected(piece, None, piece.reason)
    while waiting:
        try:
            for job_id, state in zip(list(waiting), table.get_states(list(waiting)), strict=True):
                if (ended := _ended(job_id, state, table, store)) is not None:
                    for piece in waiting.pop(job_id):
                        yield _fetched(piece, ended, store, out and out / names[piece])
        except (StoreError, *BROKER_UNAVAILABLE) as error:
            away = Away(str(error) if isinstance(error, StoreError) else f"The broker is away: {error}.")
            if on_away is None:
                raise away from error
            on_away(away)
            continue
        if not wait:
            return
        if waiting:
            time.sleep(LOOK_EVERY)


def _ended(job_id: str, state: State | None, table: JobTable, store: Store) -> str | None:
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


def _fetched(piece: Piece, reason: str, store: Store, target: Path | None) -> Collected:
    if reason or target is None:
        return Collected(piece, None, reason)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not store.fetch(dream_name(piece.job_id), target):
            return Collected(piece, None, "has lost its dream: it is no longer in the store")
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror}.") from error
    return Collected(piece, target)


def _names(pieces: list[Piece]) -> dict[Piece, str]:
    """Name the dreams: by photo and recipe, by seed where it is not 0, by job where that is not enough."""
    plain = {p: f"{p.path.stem}-{p.recipe}" + (f"-{p.seed}" if p.seed else "") for p in pieces}
    # Two folders may hold an IMG_1 each, and some file systems know no capitals.
    jobs = {(plain[p].casefold(), p.job_id) for p in pieces}
    count = Counter(name for name, _ in jobs)
    return {p: name + (f"-{p.job_id[:6]}" if count[name.casefold()] > 1 else "") + ".jpg" for p, name in plain.items()}
