"""Prints: one sheet of one dream each, with the state that broker and store keep of it."""

import re
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

#: Requesters that are no guests: the installation itself, and the operator.
AUTOMATIC, CONSOLE = "automatic", "console"

_PRINT_ID = re.compile(r"([0-9a-f]{32})-([a-z0-9]{1,32})-([1-9][0-9]{0,5})", re.ASCII)


class PrintState(StrEnum):
    """How far a print is."""

    REQUESTED = "requested"  # waits for the agent, which waits for the print server
    SUBMITTING = "submitting"  # on its way to the print server, which may or may not have it
    SUBMITTED = "submitted"  # the print server has it
    PRINTED = "printed"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: States that do not end by themselves.
FINISHED_STATES = (PrintState.PRINTED, PrintState.FAILED, PrintState.CANCELLED)


class Print(BaseModel):
    """One sheet of a dream. Its id follows from the dream, from who asked for it, and from the number of the copy."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    job_id: str
    #: AUTOMATIC, CONSOLE, or a guest's id.
    requester: str
    #: Number of the copy among those that the requester has asked for, from 1.
    number: int = Field(ge=1)
    state: PrintState = PrintState.REQUESTED
    #: Epoch seconds at which the event of the exhibition opened to which the print counts.
    event: float = 0.0
    #: Epoch seconds of the broker's clock: of the request, and of the last change.
    requested_at: float = 0.0
    changed_at: float = 0.0
    #: How often it was sent to the print server on purpose: the operator may repeat it.
    attempt: int = Field(1, ge=1)
    #: Id of the print server's job, 0 before there is one.
    server_job: int = 0
    #: Whether somebody wants a print that the print server may have to be cancelled.
    is_unwanted: bool = False
    #: Why it failed or was cancelled, "" if it was not.
    reason: str = ""

    @property
    def id(self) -> str:
        """The id, of letters that are valid in object names and file names."""
        return f"{self.job_id}-{self.field}"

    @property
    def field(self) -> str:
        """The part of the id that tells the prints of a dream apart."""
        return f"{self.requester}-{self.number}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing changes any more unless the operator repeats it."""
        return self.state in FINISHED_STATES


def parse_print(text: str | bytes | None) -> Print | None:
    """Return a print from its JSON; None if there is none, or it is of another version."""
    try:
        return Print.model_validate_json(text) if text else None
    except ValidationError:
        return None


def split_print_id(print_id: str) -> tuple[str, str]:
    """Return the job id of a print's id, and the rest of it, its field. Raises ValueError for anything else."""
    if found := _PRINT_ID.fullmatch(print_id):
        return found[1], f"{found[2]}-{found[3]}"
    raise ValueError(f"{print_id[:80]!r} is no print's id")


class PrinterStatus(BaseModel):
    """What a printer reported last."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    #: Name of the queue, as the operator calls it.
    name: str
    #: A word or a few: “ready”, “printing”, “out of paper”, “paper jam”, “out of ink”, “open”, “stopped”, “offline”.
    state: str
    #: What the printer says about it in its own words.
    message: str = ""

    @property
    def is_working(self) -> bool:
        """Whether sheets come out, or would."""
        return self.state in ("ready", "printing")

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return a status from its JSON; None if there is none, or it is of another version."""
        try:
            return cls.model_validate_json(text) if text else None
        except ValidationError:
            return None
