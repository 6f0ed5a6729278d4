"""Outbox relay: submit the items of the outbox in order, and retry until the store and the broker accept them."""

import contextlib
import logging
import threading
import time
from collections import deque

import redis

from producer.ledger import LedgerError
from producer.outbox.outbox import IncompatibleRow, Outbox, OutboxItem, PhotoUpload
from producer.outbox.retry_order import RetryOrder
from producer.outbox.submission import Outcome, SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.monitoring import metrics
from shared.monitoring.heartbeat import Component, HeartbeatRegistry

logger = logging.getLogger(__name__)

#: Seconds between two attempts while the store or the broker is unavailable, doubled from the first to the last.
INITIAL_RETRY_DELAY_SECONDS, MAX_RETRY_DELAY_SECONDS = 0.25, 5.0

#: Attempts at the first item before others take turns with it: in a short outage, photos go out in order.
ATTEMPTS_IN_ORDER = 4

#: The longest delay between two attempts at full photos: each may keep a slow line busy that guests' photos need.
MAX_UPLOAD_RETRY_DELAY_SECONDS = 60.0

#: Seconds between two heartbeats.
HEARTBEAT_INTERVAL_SECONDS = 5.0

#: Seconds between two checks whether the broker still knows the submitted jobs, and until the second that a job has to
#: fail: between recording a job and submitting it, `artdream send` needs a moment.
LOST_JOB_CHECK_INTERVAL_SECONDS, LOST_JOB_CONFIRM_SECONDS = 10.0, 1.0

#: Seconds between two polls of the outbox without a notification, as another producer may have died and left items, and
#: of the runtime settings.
OUTBOX_POLL_INTERVAL_SECONDS = 1.0


class OutboxRelay(threading.Thread):
    """The only thread that calls the store and the broker, so that waiting for them blocks nothing else.

    A daemon thread: a call that hangs in a dead network must not keep the process from exiting. Items that were not
    submitted are still in the outbox at the next start.
    """

    def __init__(
        self,
        submission_client: SubmissionClient,
        outbox: Outbox,
        recipe_choice: RecipeChoice,
        producer_name: str,
        detail: str,
    ) -> None:
        """Prepare the thread. producer_name, detail: contents of the producer's heartbeat."""
        super().__init__(name="delivery", daemon=True)
        self._submission_client = submission_client
        self._outbox = outbox
        self._recipe_choice = recipe_choice
        self._heartbeat_key = (Component.PRODUCER, producer_name)
        self._detail = detail
        self._registry = HeartbeatRegistry(submission_client.client)
        self._notified = threading.Event()
        self._stopping = threading.Event()
        self._started_at = time.time()
        self._last_heartbeat = float("-inf")
        self._next_lost_job_check = float("-inf")
        self._suspected_job_ids = set[str]()
        self._lost_job_ids = deque[str]()
        self._item_order = RetryOrder(
            attempts_in_order=ATTEMPTS_IN_ORDER,
            initial_delay_seconds=INITIAL_RETRY_DELAY_SECONDS,
            max_delay_seconds=MAX_RETRY_DELAY_SECONDS,
        )
        self._upload_order = RetryOrder(
            attempts_in_order=1,
            initial_delay_seconds=INITIAL_RETRY_DELAY_SECONDS,
            max_delay_seconds=MAX_UPLOAD_RETRY_DELAY_SECONDS,
        )
        #: Monotonic time in seconds before which no photo is uploaded.
        self._next_upload_at = 0.0
        self._incompatible_numbers = set[int]()

    def notify(self) -> None:
        """Wake the relay after an item was added to the outbox."""
        self._notified.set()

    def stop(self, timeout: float) -> None:
        """Submit the remaining items unless the store or the broker is unavailable, and end the thread.

        Returns after `timeout` seconds at most.
        """
        self._stopping.set()
        self._notified.set()
        self.join(timeout)

    def run(self) -> None:
        """Submit items until `stop` is called."""
        while True:
            try:
                self._relay_items()
                break
            except Exception:  # A bug must not end delivery in silence.
                metrics.count_fault("bug")
                logger.exception("The relay failed, and starts again.")
                if self._stopping.wait(MAX_RETRY_DELAY_SECONDS):
                    break
        with contextlib.suppress(redis.RedisError):  # The heartbeat expires by itself.
            self._registry.remove(*self._heartbeat_key)

    def _relay_items(self) -> None:
        self._exchange_state()
        with contextlib.suppress(Unavailable):  # The first submission reports it.
            self._submission_client.open_connections()
        while (item := self._next_item()) or not self._stopping.is_set():
            if item is None:
                is_notified = self._notified.wait(OUTBOX_POLL_INTERVAL_SECONDS)
                if is_notified and not self._recipe_choice.paused:
                    continue  # A photo has just arrived, and every other call to a distant broker would delay it.
                self._resubmit_lost_jobs()
            elif not self._attempt(item):
                break
            self._exchange_state()

    def _exchange_state(self) -> None:
        """Send the heartbeat and read the runtime settings, if they are due."""
        self._send_heartbeat()
        self._recipe_choice.refresh()

    def _next_item(self) -> OutboxItem | PhotoUpload | None:
        """Return what is to be submitted next: guests' jobs before the photos that may follow theirs."""
        self._notified.clear()  # Before the query, so that an item added meanwhile triggers another one.
        try:
            item = None if self._recipe_choice.paused else self._item_order.find_next(self._find_compatible_item)
            if item or time.monotonic() < self._next_upload_at:
                return item
            return self._upload_order.find_next(self._outbox.next_upload)
        except LedgerError as error:
            logger.warning("%s", error)
            return None

    def _find_compatible_item(self, after: int) -> OutboxItem | None:
        """Return the oldest item whose number is greater than `after` and which this version can read."""
        while True:
            try:
                return self._outbox.next_item(after)
            except IncompatibleRow as incompatible_row:
                after = incompatible_row.number
                if after not in self._incompatible_numbers:
                    logger.warning("%s", incompatible_row)
                    self._incompatible_numbers.add(after)

    def _attempt(self, item: OutboxItem | PhotoUpload) -> bool:
        """Submit an item or upload a photo. If an item fails, wait; return False if the relay was stopped meanwhile."""
        try:
            is_evidence = self._upload(item) if isinstance(item, PhotoUpload) else self._submit(item)
        except (Unavailable, LedgerError) as error:
            delay = self._note_failure(item, error)
            if isinstance(item, OutboxItem):
                return self._wait_in_outage(error, delay)
            self._next_upload_at = time.monotonic() + delay  # Guests' photos that come meanwhile need not wait.
        except Exception:  # A bug must not block the next guest's photo; a restart retries this one.
            metrics.count_fault("bug")
            logger.exception("%s was left out.", _describe(item))
            self._get_order(item).leave_out(item.number)
        else:
            self._note_success(item, is_evidence=is_evidence)
        return True

    def _note_failure(self, item: OutboxItem | PhotoUpload, error: Unavailable | LedgerError) -> float:
        """Report a failure if an outage begins with it, or a refusal. Returns the seconds until the next attempt."""
        order = self._get_order(item)
        was_failing = order.is_failing
        refused_attempts = order.note_failure(item.number)
        if refused_attempts == 1:
            metrics.count_fault("away")
            logger.warning("%s waits in the spool while others go out, and is tried again: %s", _describe(item), error)
        elif not refused_attempts and not was_failing:
            metrics.count_fault("away")
            if isinstance(item, PhotoUpload):
                logger.warning("%s Photos that went out small wait in the spool and follow in full.", error)
            else:
                logger.warning("%s Photos wait in the spool and go out when it is back.", error)
        return order.delay_seconds

    def _note_success(self, item: OutboxItem | PhotoUpload, *, is_evidence: bool) -> None:
        order = self._get_order(item)
        was_failing = order.is_failing
        order.note_success(item.number, is_evidence=is_evidence)
        if was_failing and not order.is_failing and isinstance(item, PhotoUpload):
            logger.warning("Photos follow in full.")
        elif was_failing and not order.is_failing:
            logger.warning("Store and broker are back.")
            self._next_upload_at = 0.0

    def _get_order(self, item: OutboxItem | PhotoUpload) -> RetryOrder:
        return self._upload_order if isinstance(item, PhotoUpload) else self._item_order

    def _wait_in_outage(self, error: Unavailable | LedgerError, seconds: float) -> bool:
        """Wait before the next attempt, and exchange the state unless the broker fails; False if the relay was stopped.

        An attempt and the wait after it may together take longer than a heartbeat is valid, so it is sent between them.
        """
        is_broker_available = not isinstance(error.__cause__, redis.RedisError)
        if is_broker_available:
            self._exchange_state()
        is_stopped = self._stopping.wait(seconds)
        if is_broker_available and not is_stopped:
            self._exchange_state()
        return not is_stopped

    def _submit(self, item: OutboxItem) -> bool:
        """Submit an item. Returns whether the store, too, took it, as it would have taken others."""
        is_stored = False
        if item.job is None:
            event_id = f"{item.photo_id} {item.number}"
            self._submission_client.publish_refusal(item.file_name, item.reason, item.cause, event_id=event_id)
        else:
            working_jpeg = self._outbox.read_working_photo(item)
            jpeg = working_jpeg or self._read_photo(item)
            if jpeg is None:
                return False
            result = self._submission_client.submit(
                item.job,
                jpeg,
                is_working_photo=bool(working_jpeg),
                motion=self._outbox.read_motion(item),
                added_at=self._outbox.read_added_at(item),
            )
            is_stored = result.outcome is Outcome.SUBMITTED
            logger.info("%s: job %s %s", item.file_name, result.job.id, result.outcome, extra={"job": result.job.id})
        self._outbox.mark_submitted(item)
        return is_stored

    def _upload(self, upload: PhotoUpload) -> bool:
        """Upload a photo. Returns whether the store took it, as it would have taken others."""
        if (jpeg := self._read_photo(upload)) is None:
            return False
        self._submission_client.upload_photo(upload.photo_id, jpeg)
        self._outbox.mark_uploaded(upload)
        return True

    def _read_photo(self, item: OutboxItem | PhotoUpload) -> bytes | None:
        """Return a photo; None if another producer on the data folder has just submitted it."""
        try:
            return self._outbox.read_photo(item)
        except FileNotFoundError:
            if item in self._outbox:
                raise
            return None

    def _resubmit_lost_jobs(self) -> None:
        """Resubmit what the broker has lost, one job after the other, until a photo arrives: the rest follows later."""
        count = 0
        try:
            self._find_lost_jobs()
            while self._lost_job_ids and not self._notified.is_set():
                job_id = self._lost_job_ids.popleft()
                # If it fails now, perhaps because of its photo alone, the next check finds it once more.
                self._suspected_job_ids.add(job_id)
                count += self._submission_client.resubmit_lost_job(job_id)
                self._exchange_state()
        except (Unavailable, LedgerError) as error:  # The next check tries again.
            logger.debug("%s", error)
        if count:
            logger.warning("The broker had forgotten %d of the jobs; they are submitted again.", count)

    def _find_lost_jobs(self) -> None:
        """Find out which jobs two checks in a row have missed, if a check is due and no lost job is left."""
        if self._lost_job_ids or time.monotonic() < self._next_lost_job_check:
            return
        self._next_lost_job_check = time.monotonic() + LOST_JOB_CHECK_INTERVAL_SECONDS
        missing_ids = self._submission_client.find_lost_jobs()
        self._lost_job_ids.extend(job_id for job_id in missing_ids if job_id in self._suspected_job_ids)
        self._suspected_job_ids = set(missing_ids).difference(self._lost_job_ids)
        if self._suspected_job_ids:
            self._next_lost_job_check = time.monotonic() + LOST_JOB_CONFIRM_SECONDS

    def _send_heartbeat(self) -> None:
        if time.monotonic() - self._last_heartbeat < HEARTBEAT_INTERVAL_SECONDS:
            return
        self._last_heartbeat = time.monotonic()
        with contextlib.suppress(redis.RedisError):  # The next heartbeat tries again.
            state = "paused" if self._recipe_choice.paused else "watching"
            self._registry.announce(*self._heartbeat_key, state, self._detail, since=self._started_at)


def _describe(item: OutboxItem | PhotoUpload) -> str:
    return f"The photo {item.photo_id}" if isinstance(item, PhotoUpload) else item.file_name
