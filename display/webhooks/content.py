"""Content: what a message says, as it is at the moment of an attempt."""

import json

import redis

from display.job_resources import describe_job, make_dream_links, read_jobs
from display.pages.share_links import ShareLinks
from shared.api.resources import JobState
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.public_url import resolve_public_url
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from shared.storage.store import Store
from shared.webhooks.table import Message, MessageType

#: Characters of a reason that are sent, so that a body stays far below the 20 kB that receivers expect.
MAX_REASON_LENGTH = 2_000


def find_visible(client: redis.Redis, store: Store, job_id: str) -> Sidecar | None:
    """Return the sidecar of a dream that guests may see, None otherwise. Raises RedisError and StoreError."""
    if JobTable(client).are_not_visible([job_id])[0]:
        return None
    sidecar = read_sidecar(store, job_id)
    return sidecar if sidecar and sidecar.standing is Visibility.SHOWN else None


def make_body(
    settings: Settings, client: redis.Redis, store: Store, share_links: ShareLinks, message: Message
) -> bytes | None:
    """Return the JSON of a message; None if its dream is hidden or its job deleted. Raises RedisError, StoreError.

    `data` is the job as the HTTP API describes it.
    """
    [job] = read_jobs(client, [message.job_id])
    if message.type is MessageType.FAILED:
        if job.record and job.record.state is State.DELETED:
            return None
        resource = describe_job(job, JobState.FAILED, links=None)
        # It may have been queued again since: the message is about the failure.
        resource = resource.model_copy(update={"reason": message.reason[:MAX_REASON_LENGTH]})
        return encode(message.type, message.timestamp, resource.model_dump(mode="json"))
    sidecar = find_visible(client, store, message.job_id)
    if sidecar is None:
        return None
    public_url = resolve_public_url(settings)
    links = make_dream_links(
        share_links,
        message.job_id,
        public_url or f"http://127.0.0.1:{settings.port}",
        has_page=public_url is not None,
    )
    resource = describe_job(job, JobState.COMPLETED, links=links)
    if resource.recipe is None:  # a wiped broker has forgotten it
        known = {"photo": photo_name(sidecar.photo_id), "recipe": sidecar.recipe.name, "seed": sidecar.seed}
        resource = resource.model_copy(update=known)
    return encode(message.type, message.timestamp, resource.model_dump(mode="json"))


def encode(message_type: str, timestamp: str, data: dict[str, object]) -> bytes:
    """Return the JSON of a message. timestamp: when it happened, in ISO 8601."""
    body = {"type": message_type, "timestamp": timestamp, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
