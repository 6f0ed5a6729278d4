"""A guest's upload from a phone becomes a dream on that phone, through all components of `artdream up`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser import launch_chromium
from tests.pictures import encode_heic, make_picture
from tests.recipes import write_recipe
from tests.stack import STACK_TIMEOUT_SECONDS, RunningStack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    with RunningStack(tmp_path, "--recipe", str(write_recipe(tmp_path))) as stack:
        yield stack


def test_a_phone_s_photo_becomes_a_dream_on_the_phone(stack: RunningStack) -> None:
    stack.start()
    assert "no QR codes, as no phone reaches 127.0.0.1" in stack.read_output()
    with launch_chromium() as browser:
        phone = browser.new_page(viewport={"width": 390, "height": 844})
        phone.goto(f"{stack.url}/send")
        photo = {"name": "IMG_0001.HEIC", "mimeType": "image/heic", "buffer": encode_heic(make_picture(77))}
        phone.locator("input[type=file]").set_input_files(photo)
        phone.locator(".recipe", has_text="Curls").click()
        phone.get_by_role("checkbox").check()
        phone.get_by_role("button", name="Send it").click()
        phone.wait_for_url(re.compile("/t/"))
        expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible(timeout=1000 * STACK_TIMEOUT_SECONDS)
        expect(phone.get_by_role("heading", name="Curls")).to_be_visible()
        phone.close()
    (completed,) = stack.list_completed()
    assert completed.recipe == "curls"
