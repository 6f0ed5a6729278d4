"""Prints on the share page: a guest orders within the limits, and reads how far the sheets are."""

import http.client
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from playwright.sync_api import Page, expect

from display.pages.share_links import ShareLinks
from shared.printing.prints import Print, PrinterStatus, PrintState
from shared.printing.table import PrintTable
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import print_name
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import add_shown_dream
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"prints_per_guest": 3})


@pytest.fixture
def prints(client: redis.Redis) -> PrintTable:
    """The table of an installation with a printer."""
    prints = PrintTable(client)
    prints.set_printer(PrinterStatus(name="Booth", state="ready"))
    return prints


@pytest.fixture
def path(display: DisplayProcess, display_settings: Settings, pipeline: FakePipeline) -> str:
    """The path of the prints of a dream's share page."""
    job = add_shown_dream(display, pipeline, (10, 90, 40))
    return f"/t/{ShareLinks(display_settings).make_token(job.id)}/print"


def send(
    display: DisplayProcess, path: str, body: object = None, cookie: str = "", **headers: str
) -> tuple[int, dict[str, object], str]:
    """Send an order, or without a body ask for the offer; return status, answer and the guest's cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    sent = {"Origin": display.url} | ({"Cookie": cookie} if cookie else {}) | headers
    connection.request("POST" if body is not None else "GET", path, None if body is None else json.dumps(body), sent)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text or "{}"), (response.getheader("Set-Cookie") or "").partition(";")[0]


def finish(prints: PrintTable, record: Print, state: PrintState = PrintState.PRINTED) -> None:
    assert prints.change(record, state, allowed=list(PrintState))


def test_a_guest_orders_up_to_the_limit_and_an_order_that_is_sent_twice_is_one(
    display: DisplayProcess, path: str, prints: PrintTable, pipeline: FakePipeline
) -> None:
    status, offer, cookie = send(display, path)
    assert (status, offer["is_offered"], offer["left"], offer["state"]) == (200, True, 3, "none")
    for _ in range(2):
        status, offer, _ = send(display, path, {"first": 1, "copies": 2}, cookie)
        assert (status, offer["left"], offer["ordered"], offer["state"]) == (201, 1, 2, "printing")
    guest = cookie.partition("=")[2]
    queue = prints.list_queue()
    assert [(record.requester, record.number) for record in queue] == [(guest, 1), (guest, 2)]
    for record in queue:
        assert pipeline.store.get(print_name(record.job_id, guest, record.number)), "it outlives the broker"
    status, answer, _ = send(display, path, {"first": 3, "copies": 2}, cookie)
    assert (status, answer["reason"]) == (429, "You have ordered all the prints that each guest can have.")
    assert len(prints.list_queue()) == 2


def test_the_limit_of_the_event_ends_orders_of_all(
    display: DisplayProcess, path: str, prints: PrintTable, client: redis.Redis
) -> None:
    update_runtime_settings(client, prints_per_event=1)
    assert send(display, path, {"first": 1, "copies": 1})[0] == 201
    status, answer, _ = send(display, path, {"first": 1, "copies": 1}, **{"Accept-Language": "de"})
    assert (status, answer["reason"]) == (429, "Heute können keine weiteren Drucke bestellt werden.")
    assert send(display, path)[1]["is_event_full"] is True


def test_no_other_site_and_nothing_malformed_orders_anything(
    display: DisplayProcess, path: str, prints: PrintTable
) -> None:
    order = {"first": 1, "copies": 1}
    assert send(display, path, order, Origin="http://elsewhere.example")[0] == 403
    assert send(display, path, order, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    invalid: tuple[Any, ...] = ({}, [], {"first": 0, "copies": 1}, {"first": 1, "copies": 21}, {"first": 1}, "x" * 300)
    for wrong in invalid:
        assert send(display, path, wrong)[0] == 400
    assert send(display, "/t/" + "A" * 40 + "/print", order)[0] == 404
    assert prints.list_queue() == []


def test_there_is_nothing_to_order_without_a_printer_or_if_guests_may_not(
    display: DisplayProcess, path: str, client: redis.Redis
) -> None:
    assert send(display, path)[1]["is_offered"] is False
    PrintTable(client).set_printer(PrinterStatus(name="Booth", state="ready"))
    update_runtime_settings(client, prints_per_guest=0)
    assert send(display, path)[1]["is_offered"] is False
    assert send(display, path, {"first": 1, "copies": 1})[0] == 429
    assert PrintTable(client).list_queue() == []


def test_nobody_orders_prints_without_end_from_one_address(
    display: DisplayProcess, path: str, prints: PrintTable
) -> None:
    statuses = [send(display, path, {"first": 1, "copies": 1})[0] for _ in range(62)]
    assert statuses[:60] == [201] * 60, "a venue's phones may share an address"
    assert statuses[60:] == [429] * 2


@pytest.mark.parametrize("locale", ["en", "ja"])
def test_a_phone_orders_two_prints_and_shows_how_far_they_are(
    open_page: Callable[..., Page], path: str, prints: PrintTable, locale: str
) -> None:
    phone = open_page(path.removesuffix("/print"), 390, 844, has_touch=True, locale=locale)
    form = phone.locator("form.print")
    button, status = form.get_by_role("button"), form.get_by_role("status")
    expect(button).to_be_visible()
    if locale == "ja":
        expect(button).to_have_text("印刷する")
        return
    form.get_by_label("Copies").select_option("2")
    button.click()
    expect(status).to_have_text("Your print is on its way.")
    assert len(prints.list_queue()) == 2
    prints.set_printer(PrinterStatus(name="Booth", state="out of paper"))
    expect(status).to_have_text("The printer needs paper or help. Your print waits for it.")
    for record in prints.list_queue():
        finish(prints, record)
    expect(status).to_have_text("Your print is ready at the printer.")
    button.click()
    wait_until(lambda: len(prints.list_queue()) == 1, "the third is ordered")
    expect(button).to_be_hidden()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_a_phone_shows_nothing_about_prints_without_a_printer(open_page: Callable[..., Page], path: str) -> None:
    phone = open_page(path.removesuffix("/print"), 390, 844, has_touch=True)
    expect(phone.get_by_role("heading", name="Animals")).to_be_visible()
    expect(phone.locator(".download")).to_be_visible()
    expect(phone.locator("form.print")).to_be_hidden()
