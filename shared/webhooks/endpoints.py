"""Webhook endpoints: the addresses that the operator has added, without their secrets, in the broker and the store."""

import ipaddress
import logging
import secrets
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import ArtDreamError
from shared.jobs.events import STREAM_START_ID, EventLog, parse_event_id
from shared.redis_keys import WEBHOOKS_KEY
from shared.storage.object_names import WEBHOOKS_PREFIX, webhook_name
from shared.storage.store import Store
from shared.webhooks.table import DeliveryTable, MessageType

logger = logging.getLogger(__name__)

#: Endpoints of an installation, at most: each has a thread of its own in the deliverer.
MAX_ENDPOINTS = 20

#: Field that marks the broker's endpoints as complete; a wiped broker does not have it.
_RESTORED_FIELD = "restored"


class Endpoint(BaseModel):
    """An address that messages are delivered to."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    url: str
    types: tuple[MessageType, ...]
    #: Id of the API key whose jobs it is told of; "": all jobs.
    key_id: str = ""
    #: Id of the last event before it was added.
    after_id: str
    #: Epoch seconds of the broker's clock.
    created_at: float
    #: SHA-256 of its secret, which tells whether a machine derives the same one.
    digest: str
    #: Why it gets no messages; "": it gets them. It is kept, so that no process restores an earlier version of it.
    disabled: str = ""
    is_removed: bool = False

    @property
    def host(self) -> str:
        """Scheme and host: what a log may show, because path and query may contain a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


class Endpoints:
    """The endpoints of an installation, in the broker, and in the store, which restores a wiped broker.

    Methods raise RedisError and StoreError.
    """

    def __init__(self, client: redis.Redis, store: Store) -> None:
        self._client, self._store = client, store

    def add(self, endpoint_id: str, url: str, types: tuple[MessageType, ...], key_id: str, digest: str) -> Endpoint:
        """Add an endpoint, for what happens from now on. Raises ArtDreamError if it exists, or there are too many."""
        existing = self.list_endpoints()
        if any(endpoint.url == url for endpoint in existing):
            raise ArtDreamError("There is an endpoint with this URL already: remove it first.")
        if len(existing) >= MAX_ENDPOINTS:
            raise ArtDreamError(f"There are {MAX_ENDPOINTS} endpoints already: remove one first.")
        seconds, microseconds = self._client.time()
        endpoint = Endpoint(
            id=endpoint_id,
            url=url,
            types=types,
            key_id=key_id,
            after_id=EventLog(self._client).last_id(),
            created_at=seconds + microseconds / 1e6,
            digest=digest,
        )
        self._write(endpoint)
        return endpoint

    def list_endpoints(self) -> list[Endpoint]:
        """Return the endpoints, disabled ones too, oldest first. A wiped broker is restored first."""
        records = cast("dict[str, str]", self._client.hgetall(WEBHOOKS_KEY))
        if _RESTORED_FIELD not in records:
            self._restore()
            records = cast("dict[str, str]", self._client.hgetall(WEBHOOKS_KEY))
        endpoints = [_parse(text, name) for name, text in records.items() if name != _RESTORED_FIELD]
        listed = [endpoint for endpoint in endpoints if endpoint and not endpoint.is_removed]
        return sorted(listed, key=lambda endpoint: (endpoint.created_at, endpoint.id))

    def find(self, name: str) -> Endpoint:
        """Return the endpoint with an id or URL. Raises ArtDreamError if there is none."""
        for endpoint in self.list_endpoints():
            if name in (endpoint.id, endpoint.url):
                return endpoint
        raise ArtDreamError(f"There is no webhook “{name}”: `artdream webhook list` lists them.")

    def remove(self, endpoint: Endpoint) -> None:
        """Remove an endpoint, with its messages."""
        self._write(endpoint.model_copy(update={"is_removed": True, "disabled": "removed"}))
        DeliveryTable(self._client).forget(endpoint.id)

    def disable(self, endpoint: Endpoint, reason: str) -> None:
        """Deliver nothing more to an endpoint, and forget the messages that wait for it."""
        if any(listed.id == endpoint.id for listed in self.list_endpoints()):  # it was not removed meanwhile
            self._write(endpoint.model_copy(update={"disabled": reason}))
        DeliveryTable(self._client).forget_waiting(endpoint.id)

    def _write(self, endpoint: Endpoint) -> None:
        # The broker first, because it decides. If only that succeeds, the caller learns it and does it again.
        self._client.hset(WEBHOOKS_KEY, endpoint.id, endpoint.model_dump_json())
        self._store.put(webhook_name(endpoint.id), endpoint.model_dump_json(indent=1).encode())

    def _restore(self) -> None:
        """Add the endpoints of the store to a wiped broker. What the broker has already is newer, and stays."""
        pipeline = self._client.pipeline()
        last_id = parse_event_id(EventLog(self._client).last_id())
        for entry in self._store.list_objects(WEBHOOKS_PREFIX):
            endpoint = _parse((self._store.get(entry.name) or b"").decode(errors="replace"), entry.name)
            if endpoint:
                if parse_event_id(endpoint.after_id) > last_id:  # of an earlier stream: it is told of all in this one
                    endpoint = endpoint.model_copy(update={"after_id": STREAM_START_ID})
                pipeline.hsetnx(WEBHOOKS_KEY, endpoint.id, endpoint.model_dump_json())
        pipeline.hset(WEBHOOKS_KEY, _RESTORED_FIELD, "true")
        pipeline.execute()


def draw_endpoint_id() -> str:
    """Return a random id for an endpoint."""
    return secrets.token_hex(8)


def validate_url(url: str, *, allow_http: bool) -> str:
    """Return a URL that messages may be delivered to. Raises ArtDreamError otherwise.

    allow_http: whether http is allowed, for which the deliverer demands an address of this machine or its network.
    """
    try:
        parts = urlsplit(url)
        is_complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete or parts.scheme not in ("https", "http") or not url.isascii() or not url.isprintable():
        raise ArtDreamError(f"“{url}” is no URL of a webhook: write it as https://host/path.")
    if parts.username is not None or parts.fragment or " " in url or len(url) > 2000:
        raise ArtDreamError("The URL of a webhook has no user, fragment or space, and at most 2,000 characters.")
    if parts.scheme == "http" and not allow_http:
        raise ArtDreamError(
            "With http anybody on the way can read the messages and the links in them: use https, or --allow-http for "
            "an address of this machine or of its own network."
        )
    return url


def is_private(address: str) -> bool:
    """Return whether an IP address is of this machine or of a private network. Link-local ones, as clouds use, are not.

    address: without a port.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_private and not ip.is_link_local and not ip.is_unspecified


def _parse(text: str, where: str) -> Endpoint | None:
    """Return an endpoint as it was kept; None if it is damaged, which is logged."""
    try:
        return Endpoint.model_validate_json(text)
    except ValidationError as error:
        logger.warning("The webhook endpoint in %s cannot be read: %s", where, error.errors()[0]["msg"])
        return None
