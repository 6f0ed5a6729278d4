"""An overview of all webhook endpoints: what waits, what was given up, and what is wrong."""

from typing import NamedTuple

import redis

from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoint, Endpoints
from shared.webhooks.table import DeliveryCounts, DeliveryTable


class WebhookOverview(NamedTuple):
    """The webhook messages of an installation."""

    endpoints: int
    waiting: int
    given_up: int
    #: For each endpoint that fails or is disabled, what happened and what to do.
    problems: tuple[str, ...]


def read_webhook_overview(client: redis.Redis, store: Store) -> WebhookOverview:
    """Return the overview. Raises RedisError, and StoreError if a wiped broker cannot be restored."""
    endpoints, table = Endpoints(client, store).list_endpoints(), DeliveryTable(client)
    counts = [table.count(endpoint.id) for endpoint in endpoints]
    problems = filter(None, map(_describe_problem, endpoints, counts))
    return WebhookOverview(
        len(endpoints), sum(c.waiting for c in counts), sum(c.given_up for c in counts), tuple(problems)
    )


def _describe_problem(endpoint: Endpoint, counts: DeliveryCounts) -> str:
    """Return a sentence if an endpoint is disabled, or failed after its last delivery; "" otherwise."""
    if endpoint.disabled:
        return f"The webhook {endpoint.id} is disabled. {endpoint.disabled} Remove it, or add it again."
    if counts.error and counts.error_at > counts.delivered_at:
        return f"The webhook {endpoint.id} fails. {counts.error} `artdream webhook test {endpoint.id}` tries it."
    return ""
