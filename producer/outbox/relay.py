"""Outbox relay: submit the items of the outbox in order, and retry until the store and the broker accept them."""

import contextlib
import logging
import threading
import time
from collections import deque

import redis

from producer.ledger import LedgerError
from producer.outbox.outbox import IncompatibleRow, Outbox, OutboxItem, PhotoUpload
from producer.outbox.submission import SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.monitoring import metrics
from shared.monitoring.heartbeat import Component, HeartbeatRegistry

logger = logging.getLogger(__name__)

#: Seconds between two attempts while the store or the broker is unavailable, doubled from the first to the last.
INITIAL_RETRY_DELAY_SECONDS, MAX_RETRY_DELAY_SECONDS = 0.25, 5.0

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
        self._unavailable = False
        self._last_skipped_number = self._last_skipped_upload = 0

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
            elif not self._submit_with_retries(item):
                break
            self._exchange_state()

    def _exchange_state(self) -> None:
        """Send the heartbeat and read the runtime settings, if they are due."""
        self._send_heartbeat()
        self._recipe_choice.refresh()

    def _next_item(self) -> OutboxItem | PhotoUpload | None:
        """Return what is to be submitted next: guests' jobs before the photos that may follow theirs."""
        self._notified.clear()  # Before the query, so that an item added meanwhile triggers another one.
        while True:
            try:
                item = None if self._recipe_choice.paused else self._outbox.next_item(after=self._last_skipped_number)
                return item or self._outbox.next_upload(after=self._last_skipped_upload)
            except IncompatibleRow as incompatible_row:
                logger.warning("%s", incompatible_row)
                self._last_skipped_number = incompatible_row.number
            except LedgerError as error:
                logger.warning("%s", error)
                return None

    def _submit_with_retries(self, item: OutboxItem | PhotoUpload) -> bool:
        """Submit an item, with retries, unless the operator pauses it; return False if the relay was stopped."""
        delay = INITIAL_RETRY_DELAY_SECONDS
        while True:
            try:
                if isinstance(item, PhotoUpload):
                    self._upload(item)
                else:
                    self._submit(item)
            except (Unavailable, LedgerError) as error:
                if not self._unavailable:
                    metrics.count_fault("away")
                    logger.warning("%s Photos wait in the spool and go out when it is back.", error)
                self._unavailable = True
                if not self._wait_in_outage(error, delay):
                    return False
                if self._recipe_choice.paused and isinstance(item, OutboxItem):
                    return True  # The item stays in the outbox.
                delay = min(2 * delay, MAX_RETRY_DELAY_SECONDS)
                continue
            except Exception:  # A bug must not block the next guest's photo; a restart retries this one.
                metrics.count_fault("bug")
                if isinstance(item, PhotoUpload):
                    logger.exception("The photo %s was left out.", item.photo_id)
                    self._last_skipped_upload = item.number
                else:
                    logger.exception("%s was left out.", item.file_name)
                    self._last_skipped_number = item.number
            else:
                if self._unavailable:
                    logger.warning("Store and broker are back.")
                self._unavailable = False
            return True

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

    def _submit(self, item: OutboxItem) -> None:
        if item.job is None:
            event_id = f"{item.photo_id} {item.number}"
            self._submission_client.publish_refusal(item.file_name, item.reason, item.cause, event_id=event_id)
        else:
            working_jpeg = self._outbox.read_working_photo(item)
            jpeg = working_jpeg or self._read_photo(item)
            if jpeg is None:
                return
            result = self._submission_client.submit(
                item.job,
                jpeg,
                is_working_photo=bool(working_jpeg),
                motion=self._outbox.read_motion(item),
                added_at=self._outbox.read_added_at(item),
            )
            logger.info("%s: job %s %s", item.file_name, result.job.id, result.outcome, extra={"job": result.job.id})
        self._outbox.mark_submitted(item)

    def _upload(self, upload: PhotoUpload) -> None:
        if (jpeg := self._read_photo(upload)) is not None:
            self._submission_client.upload_photo(upload.photo_id, jpeg)
            self._outbox.mark_uploaded(upload)

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
