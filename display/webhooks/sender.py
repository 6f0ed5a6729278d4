"""The sender: delivers the messages of one endpoint, one after the other, and repeats what fails."""

import json
import logging
import random
import threading
import time
from dataclasses import dataclass

import redis

from display.pages.share_links import ShareLinks
from display.webhooks.content import encode, make_body
from display.webhooks.request import Answer, RequestFailed, post
from display.webhooks.signing import derive_secret, digest_secret, make_headers
from shared.errors import ArtDreamError
from shared.monitoring import metrics
from shared.settings import ENV_PREFIX, Settings
from shared.storage.object_names import webhook_mark_name
from shared.storage.sidecar import read_sidecar
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoint, Endpoints
from shared.webhooks.table import Claimed, DeliveryTable, MessageType, Outcome

logger = logging.getLogger(__name__)

#: Status by which an endpoint says that it wants no more messages.
GONE = 410

#: Seconds for which all messages of an endpoint wait if it asks for that, at most.
MAX_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class DeliveryTiming:
    """Times of deliveries, in seconds. They are handed down so that tests need not wait as long."""

    #: From each failed attempt to the next: three days in all. Source: Standard Webhooks 1.0.
    retry_seconds: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    #: For one request.
    attempt_seconds: float = 15.0
    #: After which another deliverer may claim a message whose deliverer has died: longer than an attempt, and a name's
    #: resolution before it.
    claim_seconds: float = 60.0
    #: From an event to the first attempt: the displays have read it by then, so the links work.
    delay_seconds: float = 1.0
    #: Between two looks for messages.
    poll_seconds: float = 0.5


class EndpointSender:
    """Delivers to one endpoint. For one thread. Methods raise RedisError and StoreError."""

    def __init__(self, settings: Settings, endpoint: Endpoint, timing: DeliveryTiming) -> None:
        """Raise ArtDreamError if this machine derives another secret than the endpoint was added with."""
        self._settings, self._endpoint, self._timing = settings, endpoint, timing
        self._store, self._share_links = Store(settings.store), ShareLinks(settings)
        self._secret = derive_secret(self._share_links, endpoint.id)
        if digest_secret(self._secret) != endpoint.digest:
            raise ArtDreamError(
                f"The webhook {endpoint.id} was added with another key of the links: use the same data folder, or the "
                f"same {ENV_PREFIX}LINKS_SECRET, or add it again."
            )

    def deliver(self, client: redis.Redis, stop: threading.Event) -> None:
        """Deliver what is due until nothing is, or `stop` is set, or the endpoint asks to wait."""
        table = DeliveryTable(client)
        while not stop.is_set():
            claimed_at = time.monotonic()
            claimed = table.claim(self._endpoint.id, self._timing.claim_seconds)
            if claimed is None:
                return
            try:
                pause = self._attempt(client, table, claimed, claimed_at)
            except (redis.RedisError, OSError, ArtDreamError):
                raise  # broker or store is unavailable: the claim expires, and no attempt counts
            except Exception:
                metrics.count_fault("bug")
                logger.exception("%s could not be delivered because of an unexpected error", claimed.id)
                self._retry(table, claimed, "an unexpected error")
                pause = 0.0
            if pause and stop.wait(pause):
                return

    def test(self) -> Answer:
        """Send a signed message of the type `webhook.test`, once. Raises RequestFailed."""
        now = time.time()
        timestamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        body = encode("webhook.test", timestamp, {"id": self._endpoint.id})
        return self._post(f"msg_test_{self._endpoint.id}_{int(now * 1000)}", body)

    def _attempt(self, client: redis.Redis, table: DeliveryTable, claimed: Claimed, claimed_at: float) -> float:
        """Try to deliver a message, and record the outcome. Returns the seconds for which the endpoint asks to wait."""
        body = make_body(self._settings, client, self._store, self._share_links, claimed.message)
        if body is None:
            self._finish(table, claimed, Outcome.WITHDRAWN)
            return 0.0
        if time.monotonic() - claimed_at > self._timing.claim_seconds - self._timing.attempt_seconds:
            return 0.0  # the store was slow, or this process was suspended: another one may have the message
        try:
            answer = self._post(claimed.id, body)
        except RequestFailed as failure:
            self._retry(table, claimed, str(failure))
            return 0.0
        if answer.is_success:
            self._finish(table, claimed, Outcome.DELIVERED)
            return 0.0
        if answer.status == GONE:
            Endpoints(client, self._store).disable(self._endpoint, "The endpoint answered 410 (gone).")
            logger.warning("The webhook %s is disabled: %s answered 410.", self._endpoint.id, self._endpoint.host)
            return 0.0
        self._retry(table, claimed, f"status {answer.status}", answer.retry_after)
        return min(answer.retry_after, MAX_PAUSE_SECONDS)

    def _post(self, message_id: str, body: bytes) -> Answer:
        headers = make_headers(self._secret, message_id, int(time.time()), body)
        return post(self._endpoint.url, headers, body, seconds=self._timing.attempt_seconds)

    def _retry(self, table: DeliveryTable, claimed: Claimed, error: str, retry_after: float = 0.0) -> None:
        """Plan the next attempt, or give the message up after the last one."""
        sentence = f"{self._endpoint.host}: {error}."
        delays = self._timing.retry_seconds
        if claimed.message.attempts >= len(delays):
            logger.warning("%s is given up after %d attempts. %s", claimed.id, len(delays) + 1, sentence)
            self._finish(table, claimed, Outcome.GIVEN_UP, error=sentence)
            return
        # Not all at the same moment, or an endpoint that comes back would be overrun.
        delay = delays[claimed.message.attempts] * random.uniform(1.0, 1.2)  # noqa: S311
        self._finish(table, claimed, Outcome.RETRY, retry_seconds=max(delay, retry_after), error=sentence)

    def _finish(
        self,
        table: DeliveryTable,
        claimed: Claimed,
        outcome: Outcome,
        *,
        retry_seconds: float = 0.0,
        error: str = "",
    ) -> None:
        metrics.count_webhook(outcome)
        is_recorded = table.finish(self._endpoint.id, claimed, outcome, retry_seconds=retry_seconds, error=error)
        if is_recorded and outcome in (Outcome.DELIVERED, Outcome.GIVEN_UP):
            self._mark(claimed, outcome)

    def _mark(self, claimed: Claimed, outcome: Outcome) -> None:
        """Record in the store, beyond the loss of the broker, that no more messages of a dream are needed."""
        job_id = claimed.message.job_id
        if claimed.message.type is MessageType.COMPLETED and read_sidecar(self._store, job_id) is not None:
            text = json.dumps({"id": claimed.id, "outcome": outcome, "at": time.time()}).encode()
            self._store.put(webhook_mark_name(job_id, self._endpoint.id), text)
