"""The art map, in a real browser with WebGL."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from shared.art_map import ArtMap, MapPoint
from shared.storage.object_names import art_map_name, reference_name
from tests.display.conftest import PATIENCE, Display
from tests.display.fake_pipeline import Studio, picture
from tests.display.media.test_routes import ask

PAINTINGS, ARTISTS = 10_000, 50
OWNED = reference_name("Artist 7", "a painting.jpg")


def art_map() -> ArtMap:
    """Fifty heaps of paintings; the installation owns one."""
    random = np.random.default_rng(5)
    centres = random.uniform(-80, 80, (ARTISTS, 2))
    artist = np.arange(PAINTINGS) % ARTISTS
    x, y = (centres[artist] + random.normal(0, 6, (PAINTINGS, 2))).T
    owned = [""] * PAINTINGS
    owned[7], x[7], y[7] = OWNED, -150.0, 0.0  # far from all others
    return ArtMap(
        network="artists",
        artists=tuple(f"Artist {number}" for number in range(ARTISTS)),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        artist=tuple(artist.tolist()),
        picture=tuple(owned),
    )


@pytest.fixture
def hung(studio: Studio) -> ArtMap:
    found = art_map()
    studio.store.put(art_map_name("artists"), found.model_dump_json().encode())
    studio.store.put(OWNED, picture((200, 30, 30)))
    return found


@pytest.fixture
def open_map(browser: Browser, display: Display) -> Iterator[Callable[..., Page]]:
    contexts = []

    def open_map(width: int = 1440, height: int = 900, path: str = "/map") -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.faults = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(display.url + path)
        page.wait_for_selector("body:not([data-scene=dark])")
        return page

    yield open_map
    for context in contexts:
        assert [fault for page in context.pages for fault in page.faults] == []  # type: ignore[attr-defined]
        context.close()


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where on the page a place on the map is."""
    return tuple(  # type: ignore[return-value]
        page.evaluate(
            """([x, y]) => { const {xaxis, yaxis} = document.querySelector('.chart')._fullLayout;
            return [xaxis.l2p(x) + xaxis._offset, yaxis.l2p(y) + yaxis._offset] }""",
            [x, y],
        )
    )


def test_every_painting_is_drawn_by_webgl_in_the_colour_of_its_artist(
    hung: ArtMap, open_map: Callable[..., Page]
) -> None:
    page = open_map()
    expect(page.get_by_role("status")).to_have_text("10,000 paintings by 50 artists")
    data = page.evaluate(
        "document.querySelector('.chart').data.map(({type, x, marker}) => [type, x.length, marker.color])"
    )
    assert {kind for kind, _, _ in data} == {"scattergl"}
    assert sum(count for _, count, _ in data) == PAINTINGS
    assert len({colour for _, _, colour in data}) == ARTISTS
    assert page.locator(".chart canvas.gl-canvas").count() > 0
    colours = len(page.locator(".chart").screenshot())
    page.get_by_role("button", name="Artist 3", exact=True).click()
    page.wait_for_timeout(300)
    assert len(page.locator(".chart").screenshot()) < 0.8 * colours  # the others have gone dark


def test_hovering_tells_the_artist_and_shows_the_picture_where_there_is_one(
    hung: ArtMap, open_map: Callable[..., Page]
) -> None:
    page = open_map()
    page.mouse.move(*at(page, -149, 0))
    page.mouse.move(*at(page, -150, 0))
    expect(page.locator(".card")).to_have_text("Artist 7")
    image = page.get_by_role("img", name="A painting by Artist 7")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320


def test_the_map_is_zoomed_by_wheel_and_by_keyboard(hung: ArtMap, open_map: Callable[..., Page]) -> None:
    page = open_map()
    width = "(([low, high]) => high - low)(document.querySelector('.chart')._fullLayout.xaxis.range)"
    whole = page.evaluate(width)
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"{width} < {0.95 * whole}")
    page.get_by_role("button", name="The whole map").press("Enter")
    page.wait_for_function(f"Math.abs({width} - {whole}) < {0.01 * whole}")
    page.get_by_role("button", name="Nearer").press("Enter")
    page.wait_for_function(f"{width} < {0.95 * whole}")


def test_a_guest_s_photo_and_dream_have_their_place_and_the_way_between(
    hung: ArtMap, open_map: Callable[..., Page], studio: Studio
) -> None:
    before = studio.dream((1, 2, 3), place=MapPoint(network="artists", photo=(-20, 0), dream=(30, 10)), thumb=True)
    page = open_map()
    way = page.locator(f".paths > g[data-job-id='{before.id}']")
    expect(way).to_have_class("newest")
    line = way.locator("line")
    begin, end = at(page, -20, 0), at(page, 30, 10)
    drawn = [float(line.get_attribute(name) or "nan") for name in ("x1", "y1", "x2", "y2")]
    assert drawn == pytest.approx([*begin, *end], abs=1)
    after = studio.dream((9, 2, 3), place=MapPoint(network="artists", photo=(0, 0), dream=(5, 5)), thumb=True)
    expect(page.locator(f".paths > g[data-job-id='{after.id}']")).to_have_class("newest")
    studio.dream((99, 2, 3), place=MapPoint(network="another", photo=(0, 0), dream=(5, 5)))
    last = studio.dream((100, 2, 3), place=MapPoint(network="artists", photo=(0, 0), dream=(5, 5)))
    expect(page.locator(f".paths > g[data-job-id='{last.id}']")).to_have_class("newest")
    assert page.locator(".paths > g").count() == 3
    page = open_map(path=f"/map?job={before.id}")
    expect(page.locator(f".paths > g[data-job-id='{before.id}']")).to_have_class("newest")


def test_a_map_that_does_not_exist_yet_explains_itself_and_comes_by_itself(
    open_map: Callable[..., Page], studio: Studio
) -> None:
    page = open_map()
    expect(page.locator(".empty")).to_contain_text("Here every painting")
    studio.store.put(art_map_name("artists"), art_map().model_dump_json().encode())
    expect(page.get_by_role("status")).to_have_text("10,000 paintings by 50 artists", timeout=1000 * PATIENCE)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"version": 2}, "Input should be 1"),
        ({"x": [1.0]}, "the columns x, y, artist and picture differ in length"),
        ({"artists": ["only one"]}, "a painting is by an artist that the list of artists does not have"),
        ({"picture": ["photos/secret.jpg"] * PAINTINGS}, "a picture lies outside references/"),
    ],
)
def test_a_map_that_cannot_be_read_is_said_to_be(
    written: dict[str, object], said: str, display: Display, studio: Studio
) -> None:
    text = json.dumps(art_map().model_dump() | written)
    studio.store.put(art_map_name("artists"), text.encode())
    answer = ask(display, "/map/paintings")
    assert answer.status == 404
    fault = json.loads(answer.body)["fault"]  # type: ignore[attr-defined]
    assert fault == f"The map networks/artists/map.json cannot be read: {said}."


def test_only_pictures_of_the_map_are_given_away(hung: ArtMap, display: Display, studio: Studio) -> None:
    studio.store.put(reference_name("Artist 7", "another.jpg"), picture((1, 1, 1)))
    assert ask(display, "/map/paintings").status == 200
    answer = ask(display, "/map/references/Artist%207/a%20painting.jpg")
    assert (answer.status, answer.getheader("Content-Type")) == (200, "image/jpeg")
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    for path in ("Artist%207/another.jpg", "../photos/x.jpg", "..%2Fphotos%2Fx.jpg"):
        assert ask(display, f"/map/references/{path}").status in (400, 404)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1440, 900), (390, 844)])
def test_the_map_fits_every_screen(hung: ArtMap, open_map: Callable[..., Page], width: int, height: int) -> None:
    page = open_map(width, height)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    legend = page.locator(".legend").bounding_box()
    assert legend
    assert legend["width"] < 0.75 * width
    assert (legend["height"] > 100) == (width > 800)  # a phone unfolds it by hand
