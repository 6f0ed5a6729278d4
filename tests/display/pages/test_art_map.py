"""The art map in a real browser with WebGL."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from display.state.screens import SNAPSHOT_DREAMS
from shared.art_map import ArtMap, MapPoint
from shared.jobs.events import Hidden
from shared.jobs.table import JobTable
from shared.storage.object_names import art_map_name, reference_name
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import RECIPE, FakePipeline, make_circle_jpeg
from tests.display.media.test_routes import send_request
from tests.display.pages.test_gallery import MISS_GONE_EVENTS, hide, send_snapshot
from tests.waiting import wait_until

PAINTING_COUNT, ARTIST_COUNT = 10_000, 50
OWNED_PICTURE = reference_name("Artist 7", "a painting.jpg")


def make_art_map() -> ArtMap:
    """Return a map of fifty clusters of paintings; the installation owns one painting's picture."""
    random = np.random.default_rng(5)
    centres = random.uniform(-80, 80, (ARTIST_COUNT, 2))
    artist = np.arange(PAINTING_COUNT) % ARTIST_COUNT
    x, y = (centres[artist] + random.normal(0, 6, (PAINTING_COUNT, 2))).T
    pictures = [""] * PAINTING_COUNT
    pictures[7], x[7], y[7] = OWNED_PICTURE, -150.0, 0.0  # far from all others
    return ArtMap(
        network="artists",
        artists=tuple(f"Artist {number}" for number in range(ARTIST_COUNT)),
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        artist=tuple(artist.tolist()),
        picture=tuple(pictures),
    )


@pytest.fixture
def stored_map(pipeline: FakePipeline) -> ArtMap:
    art_map = make_art_map()
    pipeline.store.put(art_map_name("artists"), art_map.model_dump_json().encode())
    pipeline.store.put(OWNED_PICTURE, make_circle_jpeg((200, 30, 30)))
    return art_map


@pytest.fixture
def open_map(new_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Open the map; no script of it may end with an error."""
    errors: list[str] = []

    def open_map(width: int = 1440, height: int = 900, path: str = "/map") -> Page:
        page = new_page(width, height)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(path)
        page.wait_for_selector("body:not([data-scene=dark])")
        return page

    yield open_map
    assert errors == []


def list_shown_ids(page: Page) -> list[str]:
    ids: list[str] = page.locator(".paths > g").evaluate_all("paths => paths.map(path => path.dataset.jobId)")
    return ids


def locate_on_page(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return the pixel coordinates on the page of a point on the map."""
    return tuple(
        page.evaluate(
            """([x, y]) => { const {xaxis, yaxis} = document.querySelector('.chart')._fullLayout;
            return [xaxis.l2p(x) + xaxis._offset, yaxis.l2p(y) + yaxis._offset] }""",
            [x, y],
        )
    )


@pytest.mark.slow
def test_every_painting_is_drawn_by_webgl_in_the_colour_of_its_artist(
    stored_map: ArtMap, open_map: Callable[..., Page]
) -> None:
    page = open_map()
    expect(page.get_by_role("status")).to_have_text("10,000 paintings by 50 artists")
    data = page.evaluate(
        "document.querySelector('.chart').data.map(({type, x, marker}) => [type, x.length, marker.color])"
    )
    assert {kind for kind, _, _ in data} == {"scattergl"}
    assert sum(count for _, count, _ in data) == PAINTING_COUNT
    assert len({colour for _, _, colour in data}) == ARTIST_COUNT
    assert page.locator(".chart canvas.gl-canvas").count() > 0
    full_size = len(page.locator(".chart").screenshot())
    page.get_by_role("button", name="Artist 3", exact=True).click()
    # The picture compresses better then.
    wait_until(lambda: len(page.locator(".chart").screenshot()) < 0.8 * full_size, "the other artists are dark")


def test_hovering_tells_the_artist_and_shows_the_picture_where_there_is_one(
    stored_map: ArtMap, open_map: Callable[..., Page]
) -> None:
    page = open_map()
    page.mouse.move(*locate_on_page(page, -149, 0))
    page.mouse.move(*locate_on_page(page, -150, 0))
    expect(page.locator(".card")).to_have_text("Artist 7")
    image = page.get_by_role("img", name="A painting by Artist 7")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320


@pytest.mark.slow
def test_the_map_is_zoomed_by_wheel_and_by_keyboard(stored_map: ArtMap, open_map: Callable[..., Page]) -> None:
    page = open_map()
    width_script = "(([low, high]) => high - low)(document.querySelector('.chart')._fullLayout.xaxis.range)"
    full_width = page.evaluate(width_script)
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"{width_script} < {0.95 * full_width}")
    page.get_by_role("button", name="Show the whole map").press("Enter")
    page.wait_for_function(f"Math.abs({width_script} - {full_width}) < {0.01 * full_width}")
    page.get_by_role("button", name="Zoom in").press("Enter")
    page.wait_for_function(f"{width_script} < {0.95 * full_width}")


def test_a_guest_s_photo_and_dream_have_their_place_and_the_way_between(
    stored_map: ArtMap, open_map: Callable[..., Page], pipeline: FakePipeline
) -> None:
    first_job = pipeline.add_dream(
        (1, 2, 3), map_point=MapPoint(network="artists", photo=(-20, 0), dream=(30, 10)), thumb=True
    )
    page = open_map()
    path_group = page.locator(f".paths > g[data-job-id='{first_job.id}']")
    expect(path_group).to_have_class("newest")
    line = path_group.locator("line")
    start, end = locate_on_page(page, -20, 0), locate_on_page(page, 30, 10)
    drawn_coordinates = [float(line.get_attribute(name) or "nan") for name in ("x1", "y1", "x2", "y2")]
    assert drawn_coordinates == pytest.approx([*start, *end], abs=1)
    second_job = pipeline.add_dream(
        (9, 2, 3), map_point=MapPoint(network="artists", photo=(0, 0), dream=(5, 5)), thumb=True
    )
    expect(page.locator(f".paths > g[data-job-id='{second_job.id}']")).to_have_class("newest")
    pipeline.add_dream((99, 2, 3), map_point=MapPoint(network="another", photo=(0, 0), dream=(5, 5)))
    last_job = pipeline.add_dream((100, 2, 3), map_point=MapPoint(network="artists", photo=(0, 0), dream=(5, 5)))
    expect(page.locator(f".paths > g[data-job-id='{last_job.id}']")).to_have_class("newest")
    assert page.locator(".paths > g").count() == 3
    page = open_map(path=f"/map?job={first_job.id}")
    expect(page.locator(f".paths > g[data-job-id='{first_job.id}']")).to_have_class("newest")


def test_a_map_that_was_disconnected_takes_in_what_was_added_and_what_was_hidden(
    stored_map: ArtMap, open_map: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    """Seen failing: it kept showing what it had."""
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    kept, hidden = (pipeline.add_dream((shade, 2, 3), map_point=map_point) for shade in (10, 90))
    page = open_map()
    paths = page.locator(".paths > g")
    expect(paths).to_have_count(2)
    display.stop()
    added = pipeline.add_dream((200, 2, 3), map_point=map_point)
    hide(display, pipeline, hidden.id)
    display.start()
    expect(page.locator(f".paths > g[data-job-id='{added.id}']")).to_have_class("newest")
    assert list_shown_ids(page) == [kept.id, added.id]


@pytest.mark.slow
def test_a_map_that_was_disconnected_removes_an_older_dream_that_was_hidden(
    stored_map: ArtMap, open_map: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    """Seen failing: dreams that are older than those of a snapshot stayed, on the map and in an open dialog."""
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    kept, hidden = (pipeline.add_dream((shade, 2, 3), map_point=map_point) for shade in (10, 90))
    for number in range(SNAPSHOT_DREAMS):
        pipeline.add_dream((10 * number, 90, 90))  # not on the map
    page = open_map()
    page.locator(f".paths > g[data-job-id='{hidden.id}'] [role=button]").dispatch_event("click")
    expect(page.get_by_role("dialog")).to_be_visible()
    display.stop()
    hide(display, pipeline, hidden.id)
    display.start()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".paths > g")).to_have_count(1)
    assert list_shown_ids(page) == [kept.id]


@pytest.mark.slow
def test_a_dream_that_ends_while_a_map_asks_for_what_it_missed_stays(
    stored_map: ArtMap, new_page: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    kept, hidden = (pipeline.add_dream((shade, 2, 3), map_point=map_point) for shade in (10, 90))
    for number in range(SNAPSHOT_DREAMS):
        pipeline.add_dream((10 * number, 90, 90))
    page, held = new_page(), list[Route]()
    page.add_init_script(MISS_GONE_EVENTS)
    page.goto("/map")
    paths = page.locator(".paths > g")
    expect(paths).to_have_count(2)
    hide(display, pipeline, hidden.id)
    page.route("**/map/paintings", lambda route: held.append(route))
    with page.expect_request("**/map/paintings"):
        send_snapshot(pipeline)
    older = json.loads(send_request(display, "/map/paintings").body)  # type: ignore[attr-defined]
    later = pipeline.add_dream((200, 2, 3), map_point=map_point)
    expect(paths).to_have_count(3)
    held[0].fulfill(json=older)
    expect(paths).to_have_count(2)
    assert list_shown_ids(page) == [kept.id, later.id]


def test_the_dreams_on_the_map_are_reached_and_opened_by_keyboard(
    stored_map: ArtMap, open_map: Callable[..., Page], pipeline: FakePipeline
) -> None:
    """Seen failing: they could not be reached, nor opened by anything."""
    places = {"Animals": (30, 10), "Lines": (-40, 20)}
    for index, (title, place) in enumerate(places.items()):
        recipe = RECIPE.model_copy(update={"title": title})
        map_point = MapPoint(network="artists", photo=(-20, 0), dream=place)
        pipeline.add_dream((90 * index, 2, 3), recipe=recipe, map_point=map_point, thumb=True)
    page = open_map()
    group = page.get_by_role("group", name="Dreams")
    older, newer = (group.get_by_role("button", name=f"The photo’s dream of {title}, ") for title in places)
    expect(newer).to_be_visible()
    for _ in range(10):  # past the links
        page.keyboard.press("Tab")
        if older.evaluate("button => button === document.activeElement"):
            break
    expect(older).to_be_focused()
    frame = older.locator("rect")
    assert frame.evaluate("frame => getComputedStyle(frame).strokeWidth") == "5px"
    page.keyboard.press("Tab")
    expect(newer).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Lines")
    expect(dialog.get_by_label("Photo or dream")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(newer).to_be_focused()
    pipeline.add_dream((200, 2, 3), map_point=MapPoint(network="artists", photo=(0, 0), dream=(5, 5)), thumb=True)
    expect(group.get_by_role("button")).to_have_count(3)
    expect(newer).to_be_focused()  # what comes takes the focus from nobody
    older.first.click()
    expect(page.get_by_role("dialog", name="Animals")).to_be_visible()


@pytest.mark.slow
def test_a_dream_beyond_the_edge_of_the_map_is_brought_into_view_by_the_keyboard(
    stored_map: ArtMap, open_map: Callable[..., Page], pipeline: FakePipeline
) -> None:
    pipeline.add_dream((1, 2, 3), map_point=MapPoint(network="artists", photo=(-60, 60), dream=(70, -70)), thumb=True)
    page = open_map()
    dream = page.get_by_role("button", name="The photo’s dream of Animals, ")
    expect(dream).to_be_visible()
    for _ in range(6):
        page.get_by_role("button", name="Zoom in").press("Enter")
    expect(dream).not_to_be_in_viewport()
    page.get_by_role("button", name="Zoom in").press("Shift+Tab")
    expect(dream).to_be_focused()
    expect(dream).to_be_in_viewport()


def test_a_map_that_does_not_exist_yet_explains_itself_and_comes_by_itself(
    open_map: Callable[..., Page], pipeline: FakePipeline
) -> None:
    page = open_map()
    expect(page.locator(".empty")).to_contain_text("This map will show")
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    expect(page.get_by_role("status")).to_have_text("10,000 paintings by 50 artists")


@pytest.mark.slow
def test_a_map_whose_data_is_cut_off_is_requested_again(stored_map: ArtMap, new_page: Callable[..., Page]) -> None:
    """Seen failing: the page stayed blank."""
    page, cut_off = new_page(), list[Route]()

    def cut_off_once(route: Route) -> None:
        if cut_off:
            route.fallback()
        else:
            cut_off.append(route)
            route.fulfill(content_type="application/json", body=stored_map.model_dump_json()[:10_000])

    page.route("**/map/paintings", cut_off_once)
    page.goto("/map")
    expect(page.get_by_role("status")).to_have_text("10,000 paintings by 50 artists")
    page.wait_for_selector("body[data-scene=map]")
    assert cut_off


#: Notes on the page which events it has handled.
NOTE_EVENTS = """{
  const { addEventListener: add } = EventSource.prototype;
  EventSource.prototype.addEventListener = function (kind, listener) {
    add.call(this, kind, (event) => {
      listener(event);
      document.documentElement.setAttribute(`data-handled-${kind}`, "");
    });
  };
}"""


def test_a_dream_that_is_hidden_while_the_map_loads_is_not_shown(
    stored_map: ArtMap, new_page: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    """Seen failing: the event was dropped, and the map, which was older, had the dream."""
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    kept, hidden = (pipeline.add_dream((shade, 2, 3), map_point=map_point) for shade in (10, 90))
    page, held = new_page(), list[Route]()
    page.add_init_script(NOTE_EVENTS)
    page.route("**/map/paintings", lambda route: held.append(route))
    page.goto("/map")
    page.wait_for_selector("html[data-handled-snapshot]", state="attached")
    older = json.loads(send_request(display, "/map/paintings").body)  # type: ignore[attr-defined]
    JobTable(pipeline.client).hide(Hidden(job_id=hidden.id, photo_id=hidden.photo_id))
    page.wait_for_selector("html[data-handled-gone]", state="attached")
    held[0].fulfill(json=older)
    page.wait_for_selector("body[data-scene=map]")
    assert list_shown_ids(page) == [kept.id]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ({"version": 2}, "Input should be 1"),
        ({"x": [1.0]}, "the columns x, y, artist and picture differ in length"),
        ({"artists": ["only one"]}, "a painting is by an artist that the list of artists does not have"),
        ({"picture": ["photos/secret.jpg"] * PAINTING_COUNT}, "a picture lies outside references/"),
    ],
)
def test_a_map_that_cannot_be_read_is_said_to_be(
    written: dict[str, object], reason: str, display: DisplayProcess, pipeline: FakePipeline
) -> None:
    text = json.dumps(make_art_map().model_dump() | written)
    pipeline.store.put(art_map_name("artists"), text.encode())
    response = send_request(display, "/map/paintings")
    assert response.status == 404
    error = json.loads(response.body)["fault"]  # type: ignore[attr-defined]
    assert error == f"The map networks/artists/map.json cannot be read: {reason}."


def test_only_pictures_of_the_map_are_given_away(
    stored_map: ArtMap, display: DisplayProcess, pipeline: FakePipeline
) -> None:
    pipeline.store.put(reference_name("Artist 7", "another.jpg"), make_circle_jpeg((1, 1, 1)))
    assert send_request(display, "/map/paintings").status == 200
    response = send_request(display, "/map/references/Artist%207/a%20painting.jpg")
    assert (response.status, response.getheader("Content-Type")) == (200, "image/jpeg")
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    for path in ("Artist%207/another.jpg", "../photos/x.jpg", "..%2Fphotos%2Fx.jpg"):
        assert send_request(display, f"/map/references/{path}").status in (400, 404)


@pytest.mark.parametrize(
    ("width", "height"),
    [(390, 844), *(pytest.param(*size, marks=pytest.mark.slow) for size in ((1440, 900), (1920, 1080)))],
)
def test_the_map_fits_every_screen(stored_map: ArtMap, open_map: Callable[..., Page], width: int, height: int) -> None:
    page = open_map(width, height)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    legend = page.locator(".legend").bounding_box()
    assert legend
    assert legend["width"] < 0.75 * width
    assert (legend["height"] > 100) == (width > 800)  # folded on a phone
