"""The print table: every print's state in Redis, so that each is printed once, within the limits."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple, cast

import redis

from shared.monitoring.usage_counts import Counted, count
from shared.printing.prints import AUTOMATIC, CONSOLE, Print, PrinterStatus, PrintState, parse_print, split_print_id
from shared.redis_keys import (
    PRINT_HISTORY,
    PRINT_LEASE_KEY,
    PRINT_QUEUE,
    PRINTER_KEY,
    PRINTS_RESTORED_KEY,
    RUNTIME_SETTINGS_KEY,
    job_key,
    print_counts_key,
    prints_key,
)
from shared.settings import Settings

#: Seconds until the broker forgets the prints of a dream, after the last change, and the counts of an event.
PRINTS_TTL_SECONDS = 30 * 86_400

#: Finished prints that are listed, at most.
HISTORY_LENGTH = 500

#: Seconds after its last sign of life for which a printer counts as one that comes back: guests' prints wait for it.
PRINTER_TTL_SECONDS = 3600

#: Copies of one request, at most.
MAX_COPIES = 20


class PrintOutcome(StrEnum):
    """Whether prints were accepted, or why not."""

    ACCEPTED = "accepted"
    HIDDEN = "hidden"
    GUEST_LIMIT = "guest_limit"
    EVENT_LIMIT = "event_limit"


class PrintCounts(NamedTuple):
    """Prints of an event: accepted ones that did not fail, and those of them that are printed."""

    accepted: int
    printed: int


class PrintTable:
    """Every print's state, in Redis. Each change is atomic. All methods raise RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._request, self._change, self._restore, self._lease = (
            client.register_script(files("shared.printing").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("request", "change", "restore", "lease")
        )

    def request(
        self, settings: Settings, job_id: str, requester: str, *, event: float, first: int = 1, copies: int = 1
    ) -> PrintOutcome:
        """Accept prints of a visible dream, all or none; those that were accepted before are left as they are.

        settings: of the limits, if the runtime settings do not say. requester: AUTOMATIC, CONSOLE, or a guest's id.
        event: epoch seconds at which the current event opened. first: number of the first copy, so that a request that
        is repeated prints nothing twice. copies: at most MAX_COPIES.
        """
        request = {
            "job_id": job_id,
            "requester": requester,
            "first": first,
            "copies": min(copies, MAX_COPIES),
            "event": event,
            "is_guest": requester not in (AUTOMATIC, CONSOLE),
            "is_limited": requester != CONSOLE,
            "prints_per_guest": settings.prints_per_guest,
            "prints_per_event": settings.prints_per_event,
            "ttl_seconds": PRINTS_TTL_SECONDS,
        }
        keys = [prints_key(job_id), PRINT_QUEUE, print_counts_key(event), job_key(job_id), RUNTIME_SETTINGS_KEY]
        return PrintOutcome(cast("str", self._request(keys=keys, args=[json.dumps(request)])))

    def change(
        self, record: Print, state: PrintState | None, *, allowed: Iterable[PrintState], **fields: object
    ) -> Print | None:
        """Set the state of a print and further fields; return it, None if it is unknown or in no allowed state.

        state: None leaves it as it is.
        """
        changes = json.dumps(fields | ({"state": state} if state else {}))
        arguments: list[str | int] = [
            record.field,
            record.id,
            json.dumps(list(allowed)),
            changes,
            PRINTS_TTL_SECONDS,
            HISTORY_LENGTH,
        ]
        changed = self._change(keys=self._list_keys(record), args=arguments)
        return parse_print(cast("str", changed))

    def cancel(self, record: Print, reason: str) -> Print | None:
        """Cancel a print: at once if it is still here; else the agent asks the print server. None if it has ended."""
        unfinished = (PrintState.REQUESTED, PrintState.SUBMITTING, PrintState.SUBMITTED)
        return self.change(record, PrintState.CANCELLED, allowed=[PrintState.REQUESTED], reason=reason) or self.change(
            record, None, allowed=unfinished, is_unwanted=True, reason=reason
        )

    def retry(self, record: Print) -> Print | None:
        """Queue a print again that ended, as a new attempt, even if it was printed; None if it has not ended."""
        current = self.get(record.id)
        if current is None or not current.is_finished:
            return None
        return self.change(
            current,
            PrintState.REQUESTED,
            allowed=[current.state],
            attempt=current.attempt + 1,
            server_job=0,
            is_unwanted=False,
            reason="",
        )

    def restore(self, record: Print) -> bool:
        """Add a print to a broker that was wiped; False if the broker knows it."""
        arguments: list[str | int] = [record.field, record.id, record.model_dump_json(), PRINTS_TTL_SECONDS]
        return bool(self._restore(keys=self._list_keys(record), args=arguments))

    def get(self, print_id: str) -> Print | None:
        """Return a print; None if it is unknown. Raises ValueError if it is no print's id."""
        job_id, field = split_print_id(print_id)
        return parse_print(cast("str | None", self._client.hget(prints_key(job_id), field)))

    def list_of_dream(self, job_id: str, requester: str = "") -> list[Print]:
        """Return the prints of a dream by number, of one requester or of all."""
        texts = cast("Mapping[str, str]", self._client.hgetall(prints_key(job_id)))
        prints = [record for record in map(parse_print, texts.values()) if record]
        return sorted((p for p in prints if requester in ("", p.requester)), key=lambda p: (p.requester, p.number))

    def list_queue(self) -> list[Print]:
        """Return the unfinished prints, oldest request first."""
        return self._read(cast("list[str]", self._client.zrange(PRINT_QUEUE, 0, -1)))

    def list_finished(self, count: int) -> list[Print]:
        """Return the finished prints, newest first, `count` at most."""
        return self._read(cast("list[str]", self._client.zrange(PRINT_HISTORY, -count, -1))[::-1])

    def count(self, event: float) -> PrintCounts:
        """Return the prints of an event. event: epoch seconds at which it opened."""
        accepted, printed = self._client.hmget(print_counts_key(event), "all", "printed")
        return PrintCounts(int(accepted or 0), int(printed or 0))

    def count_of_guest(self, guest: str, event: float) -> int:
        """Return how many prints a guest has asked for in an event, those that failed or were cancelled not counted."""
        return int(cast("str | None", self._client.hget(print_counts_key(event), guest)) or 0)

    def count_printed(self, record: Print) -> None:
        """Count a sheet that came out, for the numbers of the evening."""
        count(self._client, Counted.PRINTED, event_id=f"{record.id} {record.attempt}", job_id=record.job_id)

    def set_printer(self, status: PrinterStatus) -> None:
        """Record what the printer reports; guests can order prints for an hour from then on."""
        self._client.set(PRINTER_KEY, status.model_dump_json(), ex=PRINTER_TTL_SECONDS)

    def get_printer(self) -> PrinterStatus | None:
        """Return what the printer reported last; None if there is none, or none for an hour."""
        return PrinterStatus.parse(cast("str | None", self._client.get(PRINTER_KEY)))

    def take_lease(self, holder: str, seconds: float) -> bool:
        """Take or renew the lease of the one agent that prints; False if another one has it."""
        return bool(self._lease(keys=[PRINT_LEASE_KEY], args=[holder, int(1000 * seconds)]))

    def drop_lease(self, holder: str) -> None:
        """End the lease of an agent that stops."""
        if self._client.get(PRINT_LEASE_KEY) == holder:
            self._client.delete(PRINT_LEASE_KEY)

    def is_restored(self) -> bool:
        """Return whether `mark_restored` was called since the broker was wiped."""
        return self._client.get(PRINTS_RESTORED_KEY) is not None

    def mark_restored(self) -> None:
        """Record that the broker has all prints of the store."""
        self._client.set(PRINTS_RESTORED_KEY, 1)

    def _read(self, print_ids: list[str]) -> list[Print]:
        pipeline = self._client.pipeline(transaction=False)
        for print_id in print_ids:
            job_id, field = split_print_id(print_id)
            pipeline.hget(prints_key(job_id), field)
        return [record for record in map(parse_print, pipeline.execute()) if record]

    @staticmethod
    def _list_keys(record: Print) -> list[str]:
        return [prints_key(record.job_id), PRINT_QUEUE, PRINT_HISTORY, print_counts_key(record.event)]
