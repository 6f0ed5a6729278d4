"""`artdream webhook`: add, list, test and remove the endpoints that are told of dreams."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import redis
import typer
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Column

from artdream.cli.command import LIST_GROUP_HELP, ListGroup, command, print_message
from artdream.cli.options import DataOption, JsonOption, console, load_settings_with_broker, print_json
from artdream.cli.tables import PlainTable
from shared.api.keys import ApiKeys
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import ENV_PREFIX, Settings
from shared.storage.store import Store
from shared.webhooks.endpoints import Endpoints, draw_endpoint_id, validate_url
from shared.webhooks.table import DeliveryTable, MessageType

webhooks = typer.Typer(cls=ListGroup, help=f"Tell other programs of dreams.{LIST_GROUP_HELP}")


class EventChoice(StrEnum):
    """What an endpoint is told of."""

    COMPLETED = "completed"
    FAILED = "failed"


_TYPES = {EventChoice.COMPLETED: MessageType.COMPLETED, EventChoice.FAILED: MessageType.FAILED}

NameArgument = Annotated[str, typer.Argument(metavar="ID", help="Id or URL of the endpoint.")]


class ListedEndpoint(BaseModel):
    """An endpoint in the list."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Its id.")
    url: str = Field(description="Its URL.")
    types: list[MessageType] = Field(description="The messages that it gets.")
    key_id: str = Field(description="Id of the API key whose jobs it is told of; empty: all jobs.")
    disabled: str = Field(description="Why it gets no messages; empty if it gets them.")
    waiting: int = Field(description="Messages that wait for their next attempt.")
    delivered: int = Field(description="Messages that were delivered.")
    given_up: int = Field(description="Messages that were given up.")
    error: str = Field(description="The last error; empty if there was none.")


class _Services(NamedTuple):
    settings: Settings
    client: redis.Redis
    store: Store
    endpoints: Endpoints


@command(
    webhooks,
    "add",
    examples=[
        "artdream webhook add https://booth.example/dreams",
        "artdream webhook add http://10.0.0.7:8080/dreams --allow-http --event completed --key kiosk",
    ],
)
def add_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where messages are delivered.")],
    events: Annotated[
        list[EventChoice] | None,
        typer.Option(
            "--event",
            metavar="EVENT",
            help="completed or failed. Repeat the option for both.",
            show_default="both",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="NAME", help="Only jobs of this API key.", show_default="all jobs"),
    ] = None,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Allow http, to an address of this machine or its own network.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Add an endpoint and print its secret, with which it verifies messages. It is not printed again."""
    from display.pages.share_links import ShareLinks
    from display.webhooks.signing import derive_secret, digest_secret, format_secret

    validate_url(url, allow_http=allow_http)
    types = tuple(_TYPES[event] for event in dict.fromkeys(events or EventChoice))
    with _open(data) as services:
        endpoint_id = draw_endpoint_id()
        secret = derive_secret(ShareLinks(services.settings), endpoint_id)
        key_id = _find_key(services, key) if key else ""
        services.endpoints.add(endpoint_id, url, types, key_id, digest_secret(secret))
        parts = {heartbeat.part for heartbeat in HeartbeatRegistry(services.client).list_heartbeats()}
    print_message(f"The webhook {endpoint_id} is added. Copy this secret to its program now. It is not printed again.")
    if Component.WEBHOOKS not in parts:
        print_message(f"Nothing delivers webhooks yet: start `artdream webhooks`, or set {ENV_PREFIX}WEBHOOKS=true.")
    typer.echo(format_secret(secret))


@command(webhooks, "list", examples=["artdream webhook list", "artdream webhook list --json"])
def list_webhooks(as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the endpoints, with what waits and what was delivered."""
    with _open(data) as services:
        table = DeliveryTable(services.client)
        listed = [
            ListedEndpoint.model_validate(endpoint.model_dump() | table.count(endpoint.id).model_dump())
            for endpoint in services.endpoints.list_endpoints()
        ]
    if as_json:
        print_json(listed)
        return
    identity, events, messages = (Column(name, no_wrap=True) for name in ("Id", "Events", "Messages"))
    rows = PlainTable(identity, "URL", events, messages)
    for one in listed:
        types = "\n".join(message_type.partition(".")[2] for message_type in one.types)
        counts = {"waiting": one.waiting, "delivered": one.delivered, "given up": one.given_up}
        lines = [f"{count} {label}" for label, count in counts.items() if count]
        rows.add_row(one.id, one.url, types, "\n".join([*(["disabled"] if one.disabled else []), *lines]))
    console.print(rows)


@command(webhooks, "test", examples=["artdream webhook test 0123456789abcdef"])
def try_webhook(name: NameArgument, data: DataOption = None) -> None:
    """Send a signed message of the type `webhook.test` and print the answer."""
    from display.webhooks.request import RequestFailed
    from display.webhooks.sender import DeliveryTiming, EndpointSender

    with _open(data) as services:
        endpoint = services.endpoints.find(name)
        try:
            answer = EndpointSender(services.settings, endpoint, DeliveryTiming()).test()
        except RequestFailed as failure:
            raise ArtDreamError(f"{endpoint.host} did not take the message: {failure}.") from failure
    sentence = f"{endpoint.host} answered with status {answer.status}{f': {answer.text}' if answer.text else ''}"
    if not answer.is_success:
        raise ArtDreamError(sentence)
    console.print(sentence, markup=False, soft_wrap=True)


@command(webhooks, "remove", examples=["artdream webhook remove 0123456789abcdef"])
def remove_webhook(name: NameArgument, data: DataOption = None) -> None:
    """Remove an endpoint. Messages that wait for it are not delivered."""
    with _open(data) as services:
        endpoint = services.endpoints.find(name)
        services.endpoints.remove(endpoint)
    console.print(f"The webhook {endpoint.id} is removed.", markup=False)


@contextmanager
def _open(data: Path | None) -> Iterator[_Services]:
    with load_settings_with_broker(data=data) as settings, connect(settings.broker) as client:
        store = Store(settings.store)
        yield _Services(settings, client, store, Endpoints(client, store))


def _find_key(services: _Services, name: str) -> str:
    keys = ApiKeys(services.client, services.store).list_keys()
    for key in keys:
        if key.revoked_at is None and name in (key.name, key.id):
            return key.id
    raise ArtDreamError(f"There is no valid key “{name}”: `artdream api-key list` lists them.")
