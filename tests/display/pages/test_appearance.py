"""An event looks like itself: on every page, at once, in every language, and whatever its texts contain."""

import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from PIL import Image
from playwright.sync_api import Page, expect

from display.i18n import TRANSLATIONS, get_guest_texts
from display.moderation import Moderation
from display.pages.share_links import ShareLinks
from display.state.dream_index import DreamIndex
from display.state.event_appearance import load_event_appearance
from display.web.theme import build_theme_css
from shared.appearance import Appearance, Theme
from shared.errors import ArtDreamError
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store
from tests.browser import ContextPool
from tests.display.conftest import PUBLIC_URL, DisplayProcess, make_page, running_display
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.waiting import wait_until

#: Texts that would do something if they were taken for HTML, JavaScript, CSS or a template.
HOSTILE_TITLE = "</script><script>window.hit=1</script>"
HOSTILE_TEXT = '"><img src=x onerror=window.hit=1> } * { display: none } {texts} {0} %s ${1}'

SCREENS = {"full HD": (1920, 1080), "4K": (3840, 2160), "upright": (1080, 1920), "projector": (1024, 768)}


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"public_url": PUBLIC_URL})


@pytest.fixture
def moderation(display_settings: Settings) -> Moderation:
    return Moderation(display_settings, DreamIndex())


@pytest.fixture
def logo() -> bytes:
    png = io.BytesIO()
    Image.new("RGB", (300, 100), (230, 20, 60)).save(png, "PNG")
    return png.getvalue()


def read_style(page: Page, selector: str, name: str) -> str:
    return str(page.locator(selector).evaluate(f"(element) => getComputedStyle(element).getPropertyValue('{name}')"))


def test_an_open_wall_takes_what_the_console_says_without_being_loaded_again(
    open_wall: Callable[..., Page], moderation: Moderation, pipeline: FakePipeline, logo: bytes
) -> None:
    wall = open_wall()
    wall.evaluate("window.isSamePage = true")
    expect(wall.get_by_role("heading", name="ArtDream")).to_be_visible()
    assert read_style(wall, ".wall", "background-color") == "rgb(11, 10, 9)"
    moderation.change_appearance(
        Appearance(
            title="Long Night",
            subtitle="In the museum",
            accent="#e2007a",
            theme=Theme.LIGHT,
            idle_text="Send us a photo",
            logo=moderation.store_logo(logo),
        )
    )
    expect(wall.get_by_role("heading", name="Long Night")).to_be_visible()
    expect(wall.locator(".subtitle")).to_have_text("In the museum")
    expect(wall.locator(".idle")).to_have_text("Send us a photo")
    wait_until(lambda: wall.locator(".logo").evaluate("(image) => image.naturalWidth") == 300, "the logo is there")
    assert read_style(wall, ".wall", "background-color") == "rgb(247, 243, 234)"
    assert wall.title() == "Long Night"
    pipeline.add_dream((20, 40, 80))
    wall.wait_for_selector(".wall[data-scene=dream] .brand img")
    expect(wall.locator(".brand")).to_contain_text("Long Night")
    expect(wall.locator(".waiting")).to_have_text("Send us a photo")
    moderation.change_settings(appearance_changes={})
    expect(wall.locator(".brand")).to_be_hidden()
    expect(wall.locator(".waiting")).to_have_text("")
    assert read_style(wall, ".wall", "background-color") == "rgb(11, 10, 9)"
    assert wall.evaluate("window.isSamePage")


@pytest.mark.parametrize("path", ["/gallery", "/map"])
def test_an_open_page_with_a_feed_follows_too(
    open_page: Callable[..., Page], moderation: Moderation, path: str
) -> None:
    page = open_page(path)
    page.evaluate("window.isSamePage = true")
    expect(page.locator(".brand")).to_be_hidden()
    moderation.change_appearance(Appearance(title="Long Night", theme=Theme.LIGHT))
    expect(page.locator(".brand")).to_have_text("Long Night")
    assert read_style(page, "html", "background-color") == "rgb(247, 243, 234)"
    assert page.evaluate("window.isSamePage")


def test_a_page_is_light_from_its_first_paint_on(
    display: DisplayProcess, moderation: Moderation, contexts: ContextPool
) -> None:
    appearance = Appearance(title="Long Night", theme=Theme.LIGHT, accent="#0000ff")
    moderation.change_appearance(appearance)
    wait_until(lambda: b"Long Night" in send_request(display, "/gallery").body, "the page has the title")  # type: ignore[attr-defined]
    assert send_request(display, "/event/theme.css").body.decode() == build_theme_css(appearance)  # type: ignore[attr-defined]
    assert build_theme_css(appearance).encode() in send_request(display, "/").body  # type: ignore[attr-defined]
    assert b'content="light"' in send_request(display, "/gallery").body  # type: ignore[attr-defined]
    assert b'content="#f7f3ea"' in send_request(display, "/send").body  # type: ignore[attr-defined]
    page = make_page(contexts, display, java_script_enabled=False)
    page.goto("/gallery")
    assert read_style(page, "html", "background-color") == "rgb(247, 243, 234)"


def test_texts_of_an_event_are_texts_and_nothing_else(
    display: DisplayProcess, moderation: Moderation, new_page: Callable[..., Page], pipeline: FakePipeline
) -> None:
    moderation.change_appearance(
        Appearance(
            title=HOSTILE_TITLE, subtitle=HOSTILE_TEXT, idle_text=HOSTILE_TEXT, consent=HOSTILE_TEXT, accent="#e2007a"
        )
    )
    job = pipeline.add_dream((20, 40, 80))
    token = ShareLinks(display.settings).make_token(job.id)
    wait_until(lambda: b"window.hit" in send_request(display, "/gallery").body, "the page has the title")  # type: ignore[attr-defined]
    page = new_page()
    for path in ("/", "/gallery", "/map", "/send", f"/t/{token}", "/console"):
        body = send_request(display, path).body.decode()  # type: ignore[attr-defined]
        assert HOSTILE_TITLE not in body
        assert "<img src=x" not in body
        page.goto(path)
        place = {"/": ".brand", "/console": "h1"}.get(path, ".brand")
        expect(page.locator(place)).to_contain_text(HOSTILE_TITLE)
        assert page.evaluate("window.hit") is None, path
        assert read_style(page, "body", "display") != "none", path
    page.goto("/send")
    expect(page.get_by_text(HOSTILE_TEXT).last).to_be_visible()
    css = send_request(display, "/event/theme.css").body.decode()  # type: ignore[attr-defined]
    assert "hit" not in css
    assert css.count("{") == css.count("}") == 1


def read_page_data(body: bytes, name: str) -> dict[str, str]:
    found = re.search(f'data-{name}="([^"]*)"', body.decode())
    assert found
    return dict(json.loads(html.unescape(found[1])))


def test_a_text_that_the_event_leaves_open_is_in_the_language_of_each_page(
    display: DisplayProcess, moderation: Moderation, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    for language in TRANSLATIONS:
        page.goto(f"/send?lang={language}")
        expect(page.locator(".consent")).to_have_text(get_guest_texts(language)["send_consent"])
    moderation.change_appearance(Appearance(title="Long Night", consent="Ja, gern."))
    wait_until(lambda: b"Long Night" in send_request(display, "/send").body, "the page has the title")  # type: ignore[attr-defined]
    for language in TRANSLATIONS:
        body = send_request(display, f"/send?lang={language}").body  # type: ignore[attr-defined]
        assert read_page_data(body, "texts") == get_guest_texts(language)
        assert read_page_data(body, "appearance")["consent"] == "Ja, gern."
    page.goto("/send?lang=ja")
    expect(page.locator(".consent")).to_have_text("Ja, gern.")


def write_event_file(settings: Settings, text: str) -> Settings:
    path = settings.data.with_name("event.toml")
    path.write_text(f"[event]\n{text}")
    return settings.model_copy(update={"event": path})


def test_the_event_file_is_known_to_every_component_and_the_console_s_word_is_stronger(
    display_settings: Settings, client: redis.Redis, moderation: Moderation, logo: bytes
) -> None:
    settings = write_event_file(display_settings, 'title = "Of the file"\naccent = "#e2007a"\nlogo = "logo.png"\n')
    settings.data.with_name("logo.png").write_bytes(logo)
    with running_display(settings) as display:

        def read_appearance() -> Appearance:
            return read_runtime_settings(client, settings).appearance

        wait_until(lambda: read_appearance().title == "Of the file", "the broker knows the event file")
        name = read_appearance().logo
        response = send_request(display, f"/event/{name}")
        assert (response.status, response.getheader("Content-Type")) == (200, "image/png")
        assert "immutable" in (response.getheader("Cache-Control") or "")
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        moderation.change_appearance(read_appearance().with_changes({"title": "Of the console"}))
        client.flushall()
        wait_until(lambda: read_appearance().title == "Of the console", "a wiped broker has learnt it again")
        assert (read_appearance().accent, read_appearance().logo) == ("#e2007a", name)
    with running_display(write_event_file(display_settings, 'title = "Of another file"\naccent = "#00c070"\n')):
        wait_until(lambda: read_appearance().accent == "#00c070", "the new file is known")
        assert read_appearance().title == "Of the console"
        moderation.change_settings(appearance_changes={})
        assert (read_appearance().title, read_appearance().logo) == ("Of another file", "")
    with running_display(display_settings):  # without a file
        wait_until(lambda: read_appearance() == Appearance(), "the usual look is back")


@pytest.mark.parametrize("name", ["../steering.json", "%2e%2e/steering.json", "0" * 64, "0" * 63, "x"])
def test_nothing_but_logos_is_served_as_a_logo(
    display: DisplayProcess, moderation: Moderation, display_settings: Settings, name: str
) -> None:
    moderation.change_settings(paused=True)
    assert Store(display_settings.store).get("steering.json")
    assert send_request(display, f"/event/logos/{name}.png").status in (400, 404)


@pytest.mark.parametrize(
    ("logo_file", "reason"),
    [(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG logos are not supported"), (b"x", "cannot be read")],
)
def test_a_display_does_not_start_with_a_logo_that_it_cannot_show(
    display_settings: Settings, logo_file: bytes, reason: str
) -> None:
    settings = write_event_file(display_settings, 'logo = "logo.png"\n')
    settings.data.with_name("logo.png").write_bytes(logo_file)
    with pytest.raises(ArtDreamError, match=reason) as caught:
        load_event_appearance(settings)
    assert str(Path("event.toml")) in str(caught.value)
    assert "logo.png" in str(caught.value)


#: Texts and pictures of the wall that reach beyond its edges, or lie over each other.
FAULTS_SCRIPT = """(wall) => {
  const names = [".logo", ".invitation h1", ".subtitle", ".idle", ".send img", ".send figcaption", ".brand", ".title",
    ".verdict", ".kicker", ".photo .picture", ".home img", ".dream .picture", ".waiting"];
  const options = { checkOpacity: true, checkVisibilityCSS: true };
  const boxes = names
    .flatMap((name) => [...wall.querySelectorAll(name)].map((element) => ({ name, element })))
    .filter(({ element }) => element.checkVisibility(options))
    .filter(({ element }) => element.textContent || !/^(H1|P)$/.test(element.tagName))
    .map(({ name, element }) => ({ name, ...element.getBoundingClientRect().toJSON() }));
  const isBeyond = ({ left, top, right, bottom }) =>
    left < -1 || top < -1 || right > innerWidth + 1 || bottom > innerHeight + 1;
  const overlap = (one, other, start, end) => Math.min(one[end], other[end]) - Math.max(one[start], other[start]);
  const lieOver = (one, other) =>
    overlap(one, other, "left", "right") > 2 && overlap(one, other, "top", "bottom") > 2;
  return [
    ...boxes.filter(isBeyond).map(({ name }) => `${name} is cut off`),
    ...boxes.flatMap((one, index) =>
      boxes.slice(index + 1).filter((other) => lieOver(one, other)).map(({ name }) => `${one.name} lies over ${name}`)),
  ];
}"""

#: Resolves as soon as a page has been drawn in its present size.
DRAWN_SCRIPT = """([width, height]) => new Promise((resolve) => {
  const check = () => innerWidth === width && innerHeight === height
    ? requestAnimationFrame(() => requestAnimationFrame(resolve)) : requestAnimationFrame(check);
  check();
})"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "text_scale"), [("", 1.0), ("Anna & Jonas", 1.0), ("Die lange Nacht der träumenden Museen am Fluss", 1.5)]
)
def test_nothing_is_cut_off_or_covered_on_any_screen(
    open_wall: Callable[..., Page],
    moderation: Moderation,
    pipeline: FakePipeline,
    logo: bytes,
    title: str,
    text_scale: float,
) -> None:
    if title:
        subtitle, idle_text = (
            "Städtische Galerie am Fluss, 14. Juni",
            "Schick uns ein Foto und sieh ihm beim Träumen zu",
        )
        moderation.change_appearance(
            Appearance(
                title=title,
                subtitle=subtitle,
                idle_text=idle_text,
                text_scale=text_scale,
                logo=moderation.store_logo(logo),
            )
        )
    wall = open_wall()
    wall.wait_for_selector(".send img")
    if title:
        expect(wall.locator(".invitation h1")).to_have_text(title)
        wait_until(lambda: wall.locator(".logo").evaluate("(image) => image.naturalWidth"), "the logo is there")

    def find_faults() -> str:
        return ", ".join(wall.locator(".wall").evaluate(FAULTS_SCRIPT))

    def require_no_fault() -> None:
        for name, (width, height) in SCREENS.items():
            wall.set_viewport_size({"width": width, "height": height})
            wall.evaluate(DRAWN_SCRIPT, [width, height])
            # On a busy machine a wall is not yet laid out in its new size.
            wait_until(lambda: not find_faults(), f"all is in its place on the screen {name}", explain=find_faults)

    require_no_fault()
    pipeline.add_dream((20, 40, 80), class_probabilities=(("Vincent van Gogh", 0.03, 0.71),))
    wall.wait_for_selector(".wall[data-scene=dream] .home img")
    require_no_fault()
    pipeline.publish_frame(pipeline.claim_job(pipeline.submit_photo((200, 40, 40))), 0)
    wall.wait_for_selector(".wall[data-scene=emerging] img[data-frame]")
    require_no_fault()
