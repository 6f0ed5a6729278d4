"""The mirror in browsers without a camera, or with one that no page may use."""

from playwright.sync_api import expect

from tests.browser import ContextPool, launch_chromium
from tests.display.conftest import DisplayProcess, make_page
from tests.display.mirror.camera import DENIED_CAMERA, NO_CAMERA
from tests.display.mirror.conftest import mirror_display, mirror_settings
from tests.display.test_accessibility import assert_is_accessible

__all__ = ["mirror_display", "mirror_settings"]


def test_a_camera_that_is_not_allowed_is_said(mirror_display: DisplayProcess) -> None:
    with launch_chromium(arguments=DENIED_CAMERA) as browser:
        page = make_page(ContextPool(browser), mirror_display, 800, 600)
        page.goto("/mirror")
        expect(page.get_by_text("The camera is not allowed on this page")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        assert_is_accessible(page)


def test_no_camera_is_said_in_the_language_of_the_visitor(mirror_display: DisplayProcess) -> None:
    with launch_chromium(arguments=NO_CAMERA) as browser:
        page = make_page(ContextPool(browser), mirror_display, 800, 600, locale="de-DE")
        page.goto("/mirror")
        expect(page.get_by_text("Es gibt keine Kamera. Schließe eine an")).to_be_visible()
