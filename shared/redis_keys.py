"""The keys of ArtDream in Redis. Their names are a contract: brokers of earlier versions hold them.

kombu's own keys, one list for each lane and priority, are in `shared.jobs.queue`.
"""

#: Prefix of every key.
KEY_PREFIX = "artdream:"

#: Stream of events.
STREAM = f"{KEY_PREFIX}events"

#: Hash of submitter → number of unfinished jobs.
UNFINISHED_BY_SUBMITTER = f"{KEY_PREFIX}underway"

#: Sorted sets of job ids: accepted and queued jobs by the time of their last transition, and started jobs by the time
#: at which their lease expires; both in epoch seconds of the broker's clock.
UNCLAIMED, LEASES = f"{KEY_PREFIX}unheld", f"{KEY_PREFIX}leases"

#: Hash with the time of the last sweep for expired leases and the end of the grace period after an outage.
LAST_SWEEP = f"{KEY_PREFIX}looked"

#: Hash of the runtime settings, field → JSON value. A missing field has the value of `Settings`.
RUNTIME_SETTINGS_KEY = f"{KEY_PREFIX}steering"

#: Hash of rejection reason → number of messages. It has no other fields than the reasons, so its size is bounded.
REJECTED_KEY = f"{KEY_PREFIX}rejected"

#: Hash of the usage counts: hour, kind and labels → number. It has no other values than numbers; see
#: `shared.monitoring.usage_counts`.
USAGE_COUNTS_KEY = f"{KEY_PREFIX}counts"

#: Set of deleted jobs whose objects may still be in the store, as `job_id photo_id`.
PENDING_DELETIONS_KEY = f"{KEY_PREFIX}erasing"

#: Set of ids of jobs that failed or were cancelled after they had been started: frames of theirs, or a dream that was
#: not announced, may still be in the store.
LEFTOVERS = f"{KEY_PREFIX}leftovers"

#: Sorted set of what guests asked for, as `job_id format`, by the time of the request.
CLIP_REQUESTS = f"{KEY_PREFIX}clip-requests"

#: Held by the worker whose reconciler makes a pass.
RECONCILER_LOCK_KEY = f"{KEY_PREFIX}reconciling"

#: Set for a millisecond to find out whether the broker takes writes.
WRITE_PROBE_KEY = f"{KEY_PREFIX}write-probe"

#: Set of the keys of heartbeats, some of which may have expired.
HEARTBEATS = f"{KEY_PREFIX}present"

#: Sorted sets of print ids: unfinished prints by the time of their request, finished ones by the time of their end.
PRINT_QUEUE, PRINT_HISTORY = f"{KEY_PREFIX}print_queue", f"{KEY_PREFIX}print_history"

#: The printer's last state, JSON; held by the agent that prints; set once a wiped broker's prints are restored.
PRINTER_KEY, PRINT_LEASE_KEY, PRINTS_RESTORED_KEY = (
    f"{KEY_PREFIX}{name}" for name in ("printer", "printing", "prints_restored")
)

#: Hash of the keys of the HTTP API, id → JSON; it has hashes of them only.
API_KEYS_KEY = f"{KEY_PREFIX}api_keys"

#: Hash of the webhook endpoints, id → JSON, without their secrets; id of the last event that was queued for them; set
#: once what a wiped broker had lost is queued again.
WEBHOOKS_KEY, WEBHOOK_POSITION_KEY, WEBHOOKS_RESTORED_KEY = (
    f"{KEY_PREFIX}{name}" for name in ("webhooks", "webhook_position", "webhooks_restored")
)


def job_key(job_id: str) -> str:
    """Return the key of a job's record, a hash; with "*", the pattern of all of them."""
    return f"{KEY_PREFIX}job:{job_id}"


def counted_key(digest: str) -> str:
    """Return the key that marks an event as counted, for an hour. digest: hash of what tells the event from others."""
    return f"{KEY_PREFIX}counted:{digest}"


def heartbeat_key(component: str, name: str) -> str:
    """Return the key of a process's heartbeat, a JSON string."""
    return f"{HEARTBEATS}:{component}:{name}"


def prints_key(job_id: str) -> str:
    """Return the key of a dream's prints, a hash of requester and number → JSON."""
    return f"{KEY_PREFIX}prints:{job_id}"


def print_counts_key(event: float) -> str:
    """Return the key of the number of prints of an event, a hash. event: epoch seconds at which it opened."""
    return f"{KEY_PREFIX}print_counts:{event:.0f}"


def api_quota_key(key_id: str) -> str:
    """Return the key of what is used of an API key's quota, a hash."""
    return f"{KEY_PREFIX}api_quota:{key_id}"


def api_jobs_key(key_id: str) -> str:
    """Return the key of the ids of an API key's jobs, a sorted set by the time of their submission."""
    return f"{KEY_PREFIX}api_jobs:{key_id}"


def api_client_id_key(key_id: str, client_id: str) -> str:
    """Return the key of the job that a client of the HTTP API calls so, as JSON."""
    return f"{KEY_PREFIX}api_client_id:{key_id}:{client_id}"


def api_job_key(job_id: str) -> str:
    """Return the key of what was asked for over the HTTP API, as JSON."""
    return f"{KEY_PREFIX}api_job:{job_id}"


def api_refusal_key(job_id: str) -> str:
    """Return the key of the reason why a file that came over the HTTP API did not become a photo, as JSON."""
    return f"{KEY_PREFIX}api_refusal:{job_id}"


def webhook_keys(endpoint_id: str) -> list[str]:
    """Return the keys of a webhook endpoint.

    In order: sorted set of the waiting messages by the time of their next attempt; hash of them, id → JSON; sorted set
    of the finished ones by the time of their end; hash of what became of all.
    """
    return [f"{KEY_PREFIX}webhook_{name}:{endpoint_id}" for name in ("queue", "messages", "done", "counts")]
