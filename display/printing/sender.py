"""The sender: brings requested sheets to the print server, each exactly once, and follows them to their end."""

import logging
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from display.printing.content import UnprintableDream, load_content
from display.printing.follower import HIDDEN_REASON, DreamFollower
from display.printing.ipp import IppError, PrintServerUnavailable
from display.printing.paper import PAPERS
from display.printing.queue import PrintQueue, ServerJob, SheetRefused, SheetState
from display.printing.sheet import draw_sheet, encode_sheet
from shared.errors import ArtDreamError
from shared.printing.prints import Print, PrintState
from shared.printing.records import cancel_print, persist_print
from shared.printing.table import PrintTable
from shared.settings import Settings
from shared.storage.sidecar import Sidecar, read_sidecar
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Seconds after which a print server has processed whatever a client had sent when it died.
SETTLE_SECONDS = 3.0

#: Seconds between two questions about the sheets that the print server has, and after a fault of the server.
FOLLOW_INTERVAL_SECONDS, RETRY_SECONDS = 1.0, 1.0

#: Why a print failed or was cancelled.
LOST_REASON = "The print server no longer knows this sheet. Repeat it if it did not come out."
ABORTED_REASON = "The print server gave this sheet up; its own log says why."
CANCELLED_REASON = "It was cancelled at the printer."
UNEXPECTED_REASON = "An unexpected error; the printing component's log has it."


class SheetSender:
    """Sends the sheets of one installation to one printer. Methods raise RedisError and StoreError."""

    def __init__(self, settings: Settings, store: Store, queue: PrintQueue) -> None:
        self._settings, self._store, self._queue = settings, store, queue
        self._paper = PAPERS[settings.print_paper]
        #: Of the store; the agent sets it before anything is sent.
        self.installation_id = ""
        #: Monotonic time until which nothing is sent that may have reached the print server: at the start, a process
        #: that has just died may have sent it.
        self._settled_at = time.monotonic() + SETTLE_SECONDS
        self._follow_at = self._retry_at = 0.0

    def process(self, prints: PrintTable, follower: DreamFollower, keep_lease: Callable[[], bool]) -> int:
        """Send what is requested, and update what the print server has; return the number of unfinished prints.

        keep_lease: returns whether no other agent may print now. While the print server is unavailable, prints wait.
        """
        records = prints.list_queue()
        now = time.monotonic()
        if not records or now < self._retry_at:
            return len(records)
        try:
            if any(record.state is PrintState.SUBMITTED for record in records) and now >= self._follow_at:
                self._follow_at = now + FOLLOW_INTERVAL_SECONDS
                self._follow(prints, [record for record in records if record.state is PrintState.SUBMITTED])
            for record in records:
                is_settled = record.state is PrintState.REQUESTED or time.monotonic() >= self._settled_at
                if record.state is not PrintState.SUBMITTED and is_settled:
                    self._process(record, prints, follower, keep_lease)
        except (PrintServerUnavailable, IppError) as error:
            logger.debug("sheets wait: %s", error)
            self._retry_at = time.monotonic() + RETRY_SECONDS
        return len(records)

    def _process(
        self, record: Print, prints: PrintTable, follower: DreamFollower, keep_lease: Callable[[], bool]
    ) -> None:
        try:
            self._send(record, prints, follower, keep_lease)
        except (UnprintableDream, SheetRefused) as error:
            self._finish(prints, record, PrintState.FAILED, str(error))
        except (ArtDreamError, RedisError, OSError):
            raise
        except Exception:  # it would come again each time, and hold up all others
            logger.exception("print %s failed", record.id)
            self._finish(prints, record, PrintState.FAILED, UNEXPECTED_REASON)

    def _send(self, record: Print, prints: PrintTable, follower: DreamFollower, keep_lease: Callable[[], bool]) -> None:
        """Send one sheet, unless the print server has it."""
        # First, so that nothing is read and drawn again and again while the print server is unavailable.
        if (job := self._queue.find_job(self._name_job(record))) is not None:
            self._adopt(prints, record, job)
            return
        if record.state is not PrintState.REQUESTED:
            self._put_back(prints, record)  # it never arrived: back to the beginning, where it can be cancelled
            return
        sidecar = read_sidecar(self._store, record.job_id)
        if sidecar is None or not follower.is_visible(record.job_id):
            self._finish(prints, record, PrintState.CANCELLED, HIDDEN_REASON)
            return
        sheet, media_type = self._draw(sidecar, follower)
        unsent = prints.change(record, PrintState.SUBMITTING, allowed=[PrintState.REQUESTED])
        if unsent is None:
            return  # it was cancelled meanwhile
        if not keep_lease():
            self._put_back(prints, unsent)
            return
        try:
            server_job = self._queue.submit(sheet, media_type, self._paper, self._name_job(record))
        except PrintServerUnavailable:
            self._settled_at = time.monotonic() + SETTLE_SECONDS
            raise
        except IppError:
            self._put_back(prints, unsent)
            raise
        self._record(prints, unsent, server_job)

    def _name_job(self, record: Print) -> str:
        """Return the name of the print server's job of a print, by which it is found again."""
        return f"artdream {self.installation_id} {record.id} {record.attempt}"

    def _draw(self, sidecar: Sidecar, follower: DreamFollower) -> tuple[bytes, str]:
        content = load_content(self._settings, self._store, sidecar, follower.runtime_settings.appearance)
        media_type = self._queue.choose_format()
        return encode_sheet(
            draw_sheet(self._settings.print_sheet, self._paper, content), self._paper, media_type
        ), media_type

    def _adopt(self, prints: PrintTable, record: Print, job: ServerJob) -> None:
        """Take note of a job that the print server has, although the broker did not know."""
        if submitted := self._record(prints, record, job.id):
            self._update(prints, submitted, job)

    def _record(self, prints: PrintTable, record: Print, server_job: int) -> Print | None:
        submitted = prints.change(
            record,
            PrintState.SUBMITTED,
            allowed=[PrintState.REQUESTED, PrintState.SUBMITTING],
            server_job=server_job,
        )
        if submitted:
            persist_print(self._store, submitted)
        return submitted

    def _put_back(self, prints: PrintTable, record: Print) -> None:
        unsent = prints.change(record, PrintState.REQUESTED, allowed=[PrintState.SUBMITTING])
        if unsent and unsent.is_unwanted:
            cancel_print(prints, self._store, unsent, unsent.reason)

    def _follow(self, prints: PrintTable, records: list[Print]) -> None:
        unfinished = self._queue.list_unfinished()
        for record in records:
            job = unfinished.get(record.server_job) or self._queue.get_job(record.server_job)
            if job is None or job.name != self._name_job(record):  # the server counts from the beginning again
                job = self._queue.find_job(self._name_job(record))
            self._update(prints, record, job)

    def _update(self, prints: PrintTable, record: Print, job: ServerJob | None) -> None:
        """Update a print by what the print server says about it; None if that does not know it."""
        match job.state if job else None:
            case SheetState.PRINTED:
                self._finish(prints, record, PrintState.PRINTED, "")
            case SheetState.CANCELLED:
                self._finish(prints, record, PrintState.CANCELLED, record.reason or CANCELLED_REASON)
            case SheetState.FAILED:
                self._finish(prints, record, PrintState.FAILED, ABORTED_REASON)
            case None:
                self._finish(prints, record, PrintState.FAILED, LOST_REASON)
            case SheetState.WAITING:
                if record.is_unwanted and job:
                    self._queue.cancel(job.id)

    def _finish(self, prints: PrintTable, record: Print, state: PrintState, reason: str) -> None:
        unfinished = (PrintState.REQUESTED, PrintState.SUBMITTING, PrintState.SUBMITTED)
        if finished := prints.change(record, state, allowed=unfinished, reason=reason):
            if state is PrintState.PRINTED:
                prints.count_printed(finished)
            persist_print(self._store, finished)
            level = logging.INFO if state is PrintState.PRINTED else logging.WARNING
            logger.log(level, "Print %s: %s. %s", finished.id, state, reason)
