"""The print queue: submit sheets to a printer, find them again, cancel them, and report the printer's state."""

from dataclasses import dataclass
from enum import Enum
from typing import cast

from display.printing.ipp import Attributes, IppClient, IppError, Operation, PrintServerUnavailable, Tag, Value
from display.printing.paper import Paper
from shared.errors import ArtDreamError
from shared.printing.prints import PrinterStatus

_JOB_TAG, _PRINTER_TAG = 2, 4

#: Status codes of RFC 8011 and of CUPS after which another attempt can help: not found, not accepting, busy, …
_NOT_FOUND = 0x0406
_FINAL_ERRORS = (0x0400, 0x0408, 0x0409, 0x040A, 0x040B, 0x040D)  # of the sheet itself

_PRINTER_STATES = {3: "ready", 4: "printing", 5: "stopped"}

#: Beginning of a reason that a printer gives → state; the first that applies counts.
_REASON_STATES = {
    "media-empty": "out of paper",
    "media-needed": "out of paper",
    "media-jam": "paper jam",
    "marker-supply-empty": "out of ink",
    "toner-empty": "out of ink",
    "cover-open": "open",
    "door-open": "open",
    "interlock-open": "open",
    "input-tray-missing": "out of paper",
    "offline": "offline",
    "shutdown": "offline",
    "timed-out": "offline",
}


class SheetState(Enum):
    """How far a print server is with a sheet."""

    WAITING = "waiting"
    PRINTED = "printed"
    CANCELLED = "cancelled"
    FAILED = "failed"


#: Job states of RFC 8011: canceled, aborted, completed; all others end by themselves.
_SHEET_STATES = {7: SheetState.CANCELLED, 8: SheetState.FAILED, 9: SheetState.PRINTED}


class SheetRefused(ArtDreamError):
    """The print server does not take this sheet, now or later."""


@dataclass(frozen=True)
class ServerJob:
    """A job of the print server."""

    id: int
    name: str
    state: SheetState


class PrintQueue:
    """One printer. Methods raise PrintServerUnavailable, and IppError if the server refuses what may work later."""

    def __init__(self, printer: str) -> None:
        """printer: name of a CUPS queue on this machine, or an address. Raises ArtDreamError if it is neither."""
        self._client = IppClient(printer if "://" in printer else f"ipp://localhost:631/printers/{printer}")
        #: How the operator calls it.
        self.name = printer if "://" not in printer else self._client.url
        self._attributes: dict[str, list[object]] = {}

    def read_status(self) -> PrinterStatus:
        """Return the printer's state; “offline” if its server is unavailable, “missing” if that does not know it."""
        requested = [
            "printer-state",
            "printer-state-reasons",
            "printer-state-message",
            "printer-is-accepting-jobs",
            "document-format-supported",
            *(f"media-{side}-margin-supported" for side in _SIDES),
        ]
        try:
            answer = self._client.send(
                Operation.GET_PRINTER_ATTRIBUTES, {"requested-attributes": (Tag.KEYWORD, requested)}
            )
        except PrintServerUnavailable as error:
            return PrinterStatus(name=self.name, state="offline", message=str(error))
        except IppError as error:
            state = "missing" if error.status == _NOT_FOUND else "stopped"
            return PrinterStatus(name=self.name, state=state, message=str(error))
        self._attributes = next(iter(answer.list_groups(_PRINTER_TAG)), {})
        return self._interpret(self._attributes)

    def submit(self, sheet: bytes, media_type: str, paper: Paper, name: str) -> int:
        """Submit a sheet as a job of that name; return the job's id.

        sheet: of `media_type`, upright and of exactly the size of the paper. Raises SheetRefused.
        """
        operation: Attributes = {
            "job-name": (Tag.NAME, name),
            "document-format": (Tag.MIME_TYPE, media_type),
        }
        job: dict[str, Value] = {
            **self._describe_media(paper),
            "print-scaling": (Tag.KEYWORD, "fit"),  # as it is, unless the printer needs margins
            "print-color-mode": (Tag.KEYWORD, "color"),
        }
        try:
            answer = self._client.send(Operation.PRINT_JOB, operation, job, sheet)
        except IppError as error:
            if error.status in _FINAL_ERRORS:
                raise SheetRefused(str(error)) from error
            raise
        return _parse_job(answer.list_groups(_JOB_TAG)[0]).id

    def choose_format(self) -> str:
        """Return the media type in which the printer takes sheets: PDF, whose size is exact, or JPEG."""
        supported = self._attributes.get("document-format-supported", [])
        return "image/jpeg" if supported and "application/pdf" not in supported else "application/pdf"

    def find_job(self, name: str) -> ServerJob | None:
        """Return the job of that name, finished or not; None if the server knows none."""
        jobs = [job for which in ("not-completed", "completed") for job in self._list_jobs(which) if job.name == name]
        return max(jobs, key=lambda job: job.id, default=None)

    def list_unfinished(self) -> dict[int, ServerJob]:
        """Return the jobs that are not finished, by id."""
        return {job.id: job for job in self._list_jobs("not-completed")}

    def get_job(self, job_id: int) -> ServerJob | None:
        """Return a job; None if the server does not know it any more."""
        try:
            answer = self._client.send(
                Operation.GET_JOB_ATTRIBUTES,
                {"job-id": (Tag.INTEGER, job_id), "requested-attributes": (Tag.KEYWORD, _JOB_ATTRIBUTES)},
            )
        except IppError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        return _parse_job(answer.list_groups(_JOB_TAG)[0])

    def cancel(self, job_id: int) -> None:
        """Cancel a job, unless it has ended."""
        try:
            self._client.send(Operation.CANCEL_JOB, {"job-id": (Tag.INTEGER, job_id)})
        except IppError as error:
            if error.status not in (_NOT_FOUND, 0x0404):  # not possible: it has ended
                raise

    def _list_jobs(self, which: str) -> list[ServerJob]:
        attributes: Attributes = {
            "which-jobs": (Tag.KEYWORD, which),
            "requested-attributes": (Tag.KEYWORD, _JOB_ATTRIBUTES),
        }
        answer = self._client.send(Operation.GET_JOBS, attributes)
        return [_parse_job(group) for group in answer.list_groups(_JOB_TAG) if group]

    def _describe_media(self, paper: Paper) -> dict[str, Value]:
        """Return the attributes that ask for the paper, without margins if the printer can print to its edges."""
        margins = [self._attributes.get(f"media-{side}-margin-supported", []) for side in _SIDES]
        if not all(0 in margin for margin in margins):
            return {"media": (Tag.KEYWORD, paper.media)}
        size = {
            "x-dimension": (Tag.INTEGER, round(100 * paper.width)),
            "y-dimension": (Tag.INTEGER, round(100 * paper.height)),
        }
        sides = {f"media-{side}-margin": (Tag.INTEGER, 0) for side in _SIDES}
        return {"media-col": (Tag.COLLECTION, {"media-size": (Tag.COLLECTION, size), **sides})}

    def _interpret(self, attributes: dict[str, list[object]]) -> PrinterStatus:
        message = str(next(iter(attributes.get("printer-state-message", [])), ""))
        reasons = [str(reason) for reason in attributes.get("printer-state-reasons", [])]
        state = next(
            (state for begin, state in _REASON_STATES.items() if any(reason.startswith(begin) for reason in reasons)),
            _PRINTER_STATES.get(cast("int", attributes.get("printer-state", [5])[0]), "stopped"),
        )
        if attributes.get("printer-is-accepting-jobs", [True])[0] is False and state in ("ready", "printing"):
            state, message = "stopped", message or "The queue accepts no jobs."
        return PrinterStatus(name=self.name, state=state, message=message)


_SIDES = ("top", "bottom", "left", "right")

#: CUPS drops the names of finished jobs from its memory; it reads them from its disk if it is asked for more than that.
_JOB_ATTRIBUTES = ["job-id", "job-name", "job-state", "job-hold-until"]


def _parse_job(group: dict[str, list[object]]) -> ServerJob:
    state = cast("int", group.get("job-state", [3])[0])
    return ServerJob(
        cast("int", group["job-id"][0]),
        str(group.get("job-name", [""])[0]),
        _SHEET_STATES.get(state, SheetState.WAITING),
    )
