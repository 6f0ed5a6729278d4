"""The mirror in a browser: visitors see themselves painted, or read why they do not."""

import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import InvalidStatus

import display.server as server_module
from display.mirror.frame_painter import MAX_MIRRORS
from display.mirror.stylizer import Pixels, Stylizer
from display.server import mirror_routes
from shared.appearance import Appearance
from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.stylizer import METADATA_FILE
from tests.browser import ContextPool, install_clock
from tests.display.conftest import DisplayProcess, make_page, running_display
from tests.display.console.test_console import log_in
from tests.display.media.test_routes import send_request
from tests.display.mirror.camera import INSECURE_HOST, measure_difference, read_scene, to_jpeg
from tests.display.mirror.conftest import _camera_pool, camera_contexts, mirror_display, mirror_settings, stylizer
from tests.display.mirror.mirror_client import open_mirror
from tests.display.mirror.test_frame_painter import list_painter_processes
from tests.display.test_accessibility import assert_is_accessible
from tests.waiting import wait_until

__all__ = ["_camera_pool", "camera_contexts", "mirror_display", "mirror_settings", "stylizer"]

# An open mirror paints with all cores, and slows down the tests beside it.
pytestmark = pytest.mark.slow

#: Sends five frames in a second instead of 20, for the same reason.
SEND_FEWER_FRAMES = """const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (message) { setTimeout(() => send.call(this, message), 200); };"""

#: Return what a canvas of the page shows, as (red, green, blue, alpha) bytes, at a quarter of its size.
READ_CANVAS = """() => {
  const shown = [...document.querySelectorAll(".painting canvas")].find((canvas) => canvas.style.zIndex === "1");
  const [width, height] = [shown.width >> 2, shown.height >> 2];
  const copy = Object.assign(document.createElement("canvas"), { width, height });
  const context = copy.getContext("2d");
  context.drawImage(shown, 0, 0, width, height);
  return { width, height, data: [...context.getImageData(0, 0, width, height).data] };
}"""

OpenMirror = Callable[..., Page]


@pytest.fixture
def open_mirror_page(camera_contexts: ContextPool, mirror_display: DisplayProcess) -> OpenMirror:
    """Open the mirror in a browser with a camera."""

    def open_page(query: str = "", width: int = 800, height: int = 600, **options: object) -> Page:
        page = make_page(camera_contexts, mirror_display, width, height, **options)
        page.add_init_script(SEND_FEWER_FRAMES)
        page.goto(f"/mirror{query}")
        return page

    return open_page


def count_paintings(page: Page) -> int:
    return int(page.locator(".painting").get_attribute("data-count") or 0)


def wait_for_paintings(page: Page, count: int = 2) -> None:
    """Wait until further paintings were shown."""
    before = count_paintings(page)
    wait_until(lambda: count_paintings(page) >= before + count, "the mirror is painted")


def read_canvas(page: Page) -> Pixels:
    shown = page.evaluate(READ_CANVAS)
    return np.asarray(shown["data"], np.uint8).reshape(shown["height"], shown["width"], 4)[..., :3]


@cache
def paint_scene(stylizer: Stylizer, name: str) -> Pixels:
    """Return how a visitor is to see what the camera sees, in a style."""
    shares = [float(style == name) for style in stylizer.metadata.styles]
    return stylizer.paint(np.ascontiguousarray(read_scene()[:, ::-1]), shares)


def find_nearest_style(stylizer: Stylizer, shown: Pixels) -> str:
    return min(stylizer.metadata.styles, key=lambda style: measure_difference(paint_scene(stylizer, style), shown))


def test_a_visitor_sees_herself_painted_as_in_a_mirror(open_mirror_page: OpenMirror, stylizer: Stylizer) -> None:
    page = open_mirror_page()
    first = stylizer.metadata.styles[0]
    wait_for_paintings(page)
    assert_is_accessible(page)
    expect(page.locator(".style")).to_have_text(first)
    wait_for_paintings(page)
    shown, painted, scene = read_canvas(page), paint_scene(stylizer, first), read_scene()
    assert shown.shape == (240, 320, 3)
    difference = measure_difference(shown, painted)
    assert difference < 6
    assert difference < 0.5 * measure_difference(shown, np.ascontiguousarray(scene[:, ::-1]))  # the camera's picture
    assert difference < 0.5 * measure_difference(shown, np.ascontiguousarray(painted[:, ::-1]))  # not mirrored
    expect(page.get_by_role("img")).to_have_accessible_name(f"The camera’s picture, painted as {first} would")
    expect(page.locator(".message p")).to_be_empty()


@pytest.mark.parametrize(("width", "height"), [(960, 540), (540, 960), (390, 844), (1200, 300)])
def test_the_painting_fills_every_screen(open_mirror_page: OpenMirror, width: int, height: int) -> None:
    page = open_mirror_page(width=width, height=height)
    wait_for_paintings(page, 1)
    shown = read_canvas(page)
    aspect = min(3.0, max(1 / 3, width / height))
    assert shown.shape[1] / shown.shape[0] == pytest.approx(aspect, rel=0.03)
    assert page.locator(".painting").bounding_box() == {"x": 0, "y": 0, "width": width, "height": height}
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_styles_are_chosen_by_keys_by_buttons_and_by_a_touch(open_mirror_page: OpenMirror, stylizer: Stylizer) -> None:
    page, styles = open_mirror_page(), stylizer.metadata.styles
    wait_for_paintings(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".style")).to_have_text(styles[1])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".style")).to_have_text(styles[-1])
    page.get_by_role("button", name="Next style").click()
    expect(page.locator(".style")).to_have_text(styles[0])
    page.get_by_role("button", name="Previous style").click()
    page.locator(".painting").click(position={"x": 300, "y": 200})
    page.locator(".painting").click(position={"x": 300, "y": 200})
    expect(page.locator(".style")).to_have_text(styles[1])
    wait_until(lambda: find_nearest_style(stylizer, read_canvas(page)) == styles[1], "the style is painted")


def test_styles_change_by_themselves_and_a_link_pins_one(open_mirror_page: OpenMirror, stylizer: Stylizer) -> None:
    styles = stylizer.metadata.styles
    page = open_mirror_page("?rotate=2")
    for style in (*styles[:3],):
        expect(page.locator(".style")).to_have_text(style)
    page.close()
    pinned = open_mirror_page(f"?rotate=1&style={styles[2].lower().replace(' ', '-')}")
    expect(pinned.locator(".style")).to_have_text(styles[2])
    wait_for_paintings(pinned, 12)
    expect(pinned.locator(".style")).to_have_text(styles[2])
    assert find_nearest_style(stylizer, read_canvas(pinned)) == styles[2]


def test_a_style_that_there_is_not_is_said(open_mirror_page: OpenMirror, stylizer: Stylizer) -> None:
    page = open_mirror_page("?style=rembrand")
    expect(page.locator(".notice")).to_have_text(
        f"There is no style “rembrand”. The styles are: {', '.join(stylizer.metadata.styles)}."
    )
    wait_for_paintings(page)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".notice")).to_be_empty()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_fades_or_changes_by_itself_for_those_who_asked_for_less_motion(
    camera_contexts: ContextPool, mirror_display: DisplayProcess, stylizer: Stylizer, motion: str
) -> None:
    page = make_page(camera_contexts, mirror_display, 800, 600, reduced_motion=motion)
    install_clock(page)
    page.goto("/mirror")
    wait_for_paintings(page)
    if motion == "reduce":
        assert page.evaluate("document.getAnimations().length") == 0
    else:
        wait_until(lambda: page.evaluate("document.getAnimations().length"), "paintings fade")
    page.clock.fast_forward(13_000)
    wait_for_paintings(page)
    expect(page.locator(".style")).to_have_text(stylizer.metadata.styles[motion != "reduce"])


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_a_style_that_is_chosen_by_hand_fades_in_unless_less_motion_is_asked_for(
    camera_contexts: ContextPool, mirror_display: DisplayProcess, stylizer: Stylizer, motion: str
) -> None:
    """Seen failing: it faded in for everybody."""
    page = make_page(camera_contexts, mirror_display, 800, 600, reduced_motion=motion)
    page.add_init_script(f"""window.shares = [];
      const {{ send }} = WebSocket.prototype;
      WebSocket.prototype.send = async function (message) {{
        send.call(this, message);
        window.shares.push([...new Uint8Array(await message.slice(0, {len(stylizer.metadata.styles)}).arrayBuffer())]);
      }};""")
    page.goto("/mirror?rotate=0")
    wait_for_paintings(page)
    page.keyboard.press("ArrowRight")
    wait_until(lambda: page.evaluate("window.shares.at(-1)[1] === 255"), "the next style is shown alone")
    assert page.evaluate("window.shares.some((each) => Math.max(...each) < 255)") == (motion != "reduce")


def test_a_camera_is_used_as_soon_as_it_is_allowed(
    camera_contexts: ContextPool, mirror_display: DisplayProcess
) -> None:
    page = make_page(camera_contexts, mirror_display, 800, 600, permissions=[])
    page.add_init_script("""const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      navigator.mediaDevices.getUserMedia = async (constraints) => {
        if ((await navigator.permissions.query({ name: "camera" })).state === "granted") return ask(constraints);
        throw new DOMException("Permission denied", "NotAllowedError");
      };""")
    page.goto("/mirror")
    expect(page.get_by_text("The camera is not allowed on this page")).to_be_visible()
    page.context.grant_permissions(["camera"])
    wait_for_paintings(page)
    expect(page.get_by_text("The camera is not allowed")).to_be_hidden()


def test_a_page_that_is_not_secure_says_where_the_camera_works(
    camera_contexts: ContextPool, mirror_display: DisplayProcess
) -> None:
    page = make_page(camera_contexts, mirror_display, 800, 600)
    page.goto(f"http://{INSECURE_HOST}:{mirror_display.settings.port}/mirror")
    expect(page.get_by_text("Browsers open the camera only at an https address")).to_be_visible()


def test_a_camera_that_is_unplugged_is_said_and_used_again_when_it_is_back(open_mirror_page: OpenMirror) -> None:
    page = open_mirror_page()
    wait_for_paintings(page)
    page.evaluate("document.querySelector('video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.get_by_text("The camera is in use by another program, or was unplugged.")).to_be_visible()
    expect(page.locator("body[data-scene=mirror]")).to_be_visible()
    wait_for_paintings(page)


def test_a_killed_painter_is_replaced_and_the_mirror_continues(
    open_mirror_page: OpenMirror, mirror_display: DisplayProcess
) -> None:
    page = open_mirror_page()
    wait_for_paintings(page)
    (process,) = list_painter_processes(mirror_display.pid)
    process.kill()
    wait_for_paintings(page, 3)
    (other,) = list_painter_processes(mirror_display.pid)
    assert other.pid != process.pid


def test_a_page_that_is_not_seen_closes_the_camera(open_mirror_page: OpenMirror) -> None:
    page = open_mirror_page()
    wait_for_paintings(page)
    script = """(state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(script, "hidden")
    assert page.evaluate("document.querySelector('video').srcObject") is None
    page.evaluate(script, "visible")
    wait_for_paintings(page, 3)


def test_a_mirror_too_many_says_so_and_begins_when_another_is_closed(
    open_mirror_page: OpenMirror, mirror_display: DisplayProcess, stylizer: Stylizer
) -> None:
    shares = bytes([255] * len(stylizer.metadata.styles))
    frame = to_jpeg(read_scene())
    mirrors = [open_mirror(mirror_display.settings.port) for _ in range(MAX_MIRRORS)]
    for mirror in mirrors:
        client = mirror.__enter__()
        client.paint(frame, shares)
    page = open_mirror_page()
    expect(page.get_by_text(f"All {MAX_MIRRORS} mirrors are in use.")).to_be_visible()
    for mirror in mirrors:
        mirror.__exit__(None, None, None)
    wait_for_paintings(page)
    expect(page.get_by_text("mirrors are in use")).to_be_hidden()


def test_the_page_connects_again_after_a_restart_of_the_display(
    open_mirror_page: OpenMirror, mirror_display: DisplayProcess
) -> None:
    page = open_mirror_page()
    wait_for_paintings(page)
    mirror_display.stop(signal.SIGKILL)
    expect(page.get_by_text("The display cannot be reached.")).to_be_visible()
    mirror_display.start()
    wait_for_paintings(page)
    expect(page.get_by_text("The display cannot be reached.")).to_be_hidden()


def test_the_console_links_to_the_mirror(camera_contexts: ContextPool, mirror_display: DisplayProcess) -> None:
    page = make_page(camera_contexts, mirror_display)
    page.goto("/console")
    log_in(page)
    expect(page.get_by_role("link", name="Mirror")).to_have_attribute("href", "/mirror?lang=en")


def test_only_the_mirror_may_use_a_camera(mirror_display: DisplayProcess) -> None:
    policies = {
        path: send_request(mirror_display, path).getheader("Permissions-Policy") for path in ("/mirror", "/send", "/")
    }
    assert policies == {
        "/mirror": "camera=(self), microphone=()",
        "/send": "camera=(), microphone=()",
        "/": "camera=(), microphone=()",
    }
    policy = send_request(mirror_display, "/mirror").getheader("Content-Security-Policy") or ""
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_without_the_setting_there_is_no_mirror(display_settings: Settings) -> None:
    with running_display(display_settings) as display:
        paths = ("/mirror", "/mirror/", "/mirror/mirror.js", "/mirror/frames")
        assert {send_request(display, path).status for path in paths} == {404}
        with pytest.raises(InvalidStatus), open_mirror(display_settings.port):
            pass
        assert not any("cv2" in mapping.path for mapping in psutil.Process(display.pid).memory_maps())


def test_a_display_that_cannot_paint_does_not_start(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings.model_copy(update={"mirror": True})
    with pytest.raises(ArtDreamError, match=f"/nowhere/{METADATA_FILE} cannot be read"):
        mirror_routes(settings.model_copy(update={"mirror_network": Path("/nowhere")}), Appearance)
    monkeypatch.setattr(server_module, "find_spec", lambda _: None)
    with pytest.raises(ArtDreamError, match=r"needs OpenCV: install artdream with the extra “mirror”"):
        mirror_routes(settings, Appearance)
