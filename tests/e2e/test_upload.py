"""From a guest's phone to the guest's own dream, through everything that `artdream up` runs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import chromium
from tests.pictures import colours, heic
from tests.recipes import write_recipe
from tests.stack import PATIENCE, Up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path, "--recipe", str(write_recipe(tmp_path))) as up:
        yield up


def test_a_phone_s_photo_becomes_a_dream_on_the_phone(up: Up) -> None:
    up.start()
    assert "no QR codes, as no phone reaches 127.0.0.1" in up.printed()
    with chromium() as browser:
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"{up.url}/send")
        photo = {"name": "IMG_0001.HEIC", "mimeType": "image/heic", "buffer": heic(colours(77))}
        phone.locator("input[type=file]").set_input_files(photo)
        phone.locator(".recipe", has_text="Curls").click()
        phone.get_by_role("checkbox").check()
        phone.get_by_role("button", name="Send it").click()
        phone.wait_for_url(re.compile("/t/"))
        expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible(timeout=1000 * PATIENCE)
        expect(phone.get_by_role("heading", name="Curls")).to_be_visible()
        phone.close()
    (done,) = up.completed()
    assert done.recipe == "curls"
