"""Prints on the share page: a guest orders sheets of a dream, within the limits, and sees how far they are."""

from collections.abc import Callable
from typing import Literal

import redis
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.state.broker_pool import BrokerPool
from display.web.guest import get_guest_id, set_guest_cookie
from display.web.html import PAGE_HEADERS, empty_response
from display.web.rate_limit import RateLimiter
from display.web.same_origin import is_same_origin
from display.web.threads import run_in_thread
from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.printing.prints import Print, PrintState
from shared.printing.records import persist_print
from shared.printing.table import MAX_COPIES, PrintOutcome, PrintTable
from shared.public_url import resolve_public_url
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store, StoreError

#: Orders that one address may send in a window of seconds. A venue's network may put all phones behind one address.
_ORDERS_PER_ADDRESS, _WINDOW_SECONDS = 60, 600.0

#: Bytes of an order, at most.
_MAX_ORDER_BYTES = 200

#: Outcome → key of the text that says it to guests.
_REFUSAL_TEXTS = {
    PrintOutcome.GUEST_LIMIT: "print_limit",
    PrintOutcome.EVENT_LIMIT: "print_event_limit",
    PrintOutcome.HIDDEN: "print_busy",
}


OrderState = Literal["none", "printing", "waiting", "printed", "failed", "cancelled"]


class _Order(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Number of the first copy, so that an order that is sent again prints nothing twice.
    first: int = Field(ge=1, le=100_000)
    copies: int = Field(ge=1, le=MAX_COPIES)


class PrintOffer(BaseModel):
    """What a guest's page shows about prints of a dream."""

    model_config = ConfigDict(frozen=True)

    #: Whether there is a printer, and guests may use it.
    is_offered: bool = False
    #: Copies that the guest can still order now.
    left: int = 0
    #: Copies of this dream that the guest has ordered.
    ordered: int = 0
    #: State of the newest of them, “none” if there are none.
    state: OrderState = "none"
    #: Whether the limit of the event is reached.
    is_event_full: bool = False


def print_routes(
    find_visible_dream: Callable[[str], str | None], broker: BrokerPool, settings: Settings, store: Store
) -> list[Route]:
    """Return the routes `/t/<token>/print`: GET describes the offer, POST orders.

    find_visible_dream: returns the job id of a token whose dream guests may see, None for any other token.
    """
    limiter = RateLimiter(_ORDERS_PER_ADDRESS, _WINDOW_SECONDS)

    def answer(request: Request, offer: PrintOffer, status: int = 200) -> Response:
        response = JSONResponse(offer.model_dump(), status, headers=PAGE_HEADERS)
        if offer.is_offered:
            set_guest_cookie(response, request)
        return response

    async def get_offer(request: Request) -> Response:
        job_id = find_visible_dream(request.path_params["token"])
        if job_id is None:
            return empty_response()
        guest = get_guest_id(request)
        try:
            return answer(request, await run_in_thread(lambda: _make_offer(broker.get(), settings, job_id, guest)))
        except (*BROKER_OUTAGE, ArtDreamError):
            return empty_response(503)

    async def order(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)

        def refuse(key: str, status: int) -> Response:
            return JSONResponse({"reason": texts[key]}, status, headers=PAGE_HEADERS)

        if not is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True):
            return refuse("print_busy", 403)
        address = request.client.host if request.client else ""
        job_id = find_visible_dream(request.path_params["token"])
        if job_id is None:
            return refuse("print_busy", 404)
        if limiter.get_wait_seconds(address) > 0:
            return refuse("print_busy", 429)
        limiter.record(address)
        try:
            wanted = _Order.model_validate_json(await _read_body(request))
        except (ValidationError, ValueError):
            return refuse("print_busy", 400)
        guest = get_guest_id(request)
        try:
            outcome, offer = await run_in_thread(lambda: _order(broker.get(), settings, store, job_id, guest, wanted))
        except (*BROKER_OUTAGE, ArtDreamError):
            return refuse("print_busy", 503)
        if outcome is not PrintOutcome.ACCEPTED:
            return refuse(_REFUSAL_TEXTS[outcome], 429)
        return answer(request, offer, 201)

    return [
        Route("/t/{token}/print", get_offer, methods=["GET"]),
        Route("/t/{token}/print", order, methods=["POST"]),
    ]


async def _read_body(request: Request) -> bytes:
    """Return the body of a request. Raises ValueError if it is too long for an order."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_ORDER_BYTES:
            raise ValueError("too long")
    return body


def _order(
    client: redis.Redis, settings: Settings, store: Store, job_id: str, guest: str, wanted: _Order
) -> tuple[PrintOutcome, PrintOffer]:
    """Order copies of a dream; return whether they were accepted, and the offer after that. Raises RedisError."""
    prints, before = PrintTable(client), _make_offer(client, settings, job_id, guest)
    if not before.is_offered:
        return PrintOutcome.HIDDEN, before
    event = read_runtime_settings(client, settings).opened_at
    outcome = prints.request(settings, job_id, guest, event=event, first=wanted.first, copies=wanted.copies)
    if outcome is PrintOutcome.ACCEPTED:
        for record in prints.list_of_dream(job_id, guest):
            if record.state is PrintState.REQUESTED:
                _keep(store, record)
    return outcome, _make_offer(client, settings, job_id, guest)


def _keep(store: Store, record: Print) -> None:
    """Write the record of an order that has been accepted. Without the store it prints all the same."""
    try:
        persist_print(store, record)
    except StoreError:
        return


def _make_offer(client: redis.Redis, settings: Settings, job_id: str, guest: str) -> PrintOffer:
    prints, runtime_settings = PrintTable(client), read_runtime_settings(client, settings)
    printer, per_guest, per_event = (
        prints.get_printer(),
        runtime_settings.prints_per_guest,
        runtime_settings.prints_per_event,
    )
    if printer is None or not per_guest:
        return PrintOffer()
    ordered = prints.list_of_dream(job_id, guest)
    left_for_guest = per_guest - prints.count_of_guest(guest, runtime_settings.opened_at)
    left_for_all = per_event - prints.count(runtime_settings.opened_at).accepted if per_event else MAX_COPIES
    states = {record.state for record in ordered}
    return PrintOffer(
        is_offered=True,
        left=max(0, min(left_for_guest, left_for_all, MAX_COPIES)),
        ordered=len(ordered),
        state=_summarize(ordered, is_working=printer.is_working) if states else "none",
        is_event_full=left_for_all <= 0,
    )


def _summarize(ordered: list[Print], *, is_working: bool) -> OrderState:
    """Return the state of a guest's prints: what is still to come first, then that of the newest."""
    if not all(record.is_finished for record in ordered):
        return "printing" if is_working else "waiting"
    match max(ordered, key=lambda record: record.changed_at).state:
        case PrintState.PRINTED:
            return "printed"
        case PrintState.CANCELLED:
            return "cancelled"
        case _:
            return "failed"
