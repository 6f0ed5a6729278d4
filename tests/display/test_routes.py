"""The routes beside Streamlit's own, asked as a browser and as someone with bad intentions would ask."""

import http.client
import shutil

from shared.store import dream_name, photo_name, sidecar_name
from tests.display.conftest import Display
from tests.display.studio import Studio


def ask(display: Display, path: str, **headers: str) -> http.client.HTTPResponse:
    """Send a path exactly as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=10)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def test_a_dream_is_served_once_and_then_kept_by_the_browser(display: Display, studio: Studio) -> None:
    job = studio.dream((1, 2, 3))
    path = f"/pictures/{dream_name(job.id)}"
    answer = ask(display, path)
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "image/jpeg"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert "immutable" in (answer.getheader("Cache-Control") or "")
    assert ask(display, path, If_None_Match=answer.getheader("ETag") or "").status == 304
    assert ask(display, f"/pictures/{photo_name(job.photo_id)}").status == 200


TRICKS = [
    "../data/store/secret.jpg",
    "..%2f..%2fsecret.jpg",
    "%2e%2e/%2e%2e/etc/passwd",
    "photos/../photos/{photo}.jpg",
    "photos//{photo}.jpg",
    "photos/{photo}.jpg/",
    "photos/{photo}.jpg%00",
    "photos/{photo}.jpg%0a%0a",
    "photos/{photo}.JPG",
    "/photos/{photo}.jpg",
    "dreams/{job}/dream.json",
    "dreams/{job}/frames/../dream.jpg",
    "dreams/{job}/frames/04.jpg%2f..%2f..%2fdream.json",
    "dreams/*/dream.jpg",
    "references/secret.jpg",
    "secret.jpg",
    "",
]


def test_a_path_trick_shows_nothing(display: Display, studio: Studio) -> None:
    job = studio.dream((1, 2, 3))
    assert studio.store.get(sidecar_name(job.id))
    studio.store.put("secret.jpg", b"secret")
    studio.store.put("references/secret.jpg", b"secret")
    for trick in TRICKS:
        path = "/pictures/" + trick.format(photo=job.photo_id, job=job.id)
        answer = ask(display, path)
        assert answer.getheader("Content-Type") != "image/jpeg", path
        assert b"secret" not in answer.body, path  # type: ignore[attr-defined]
        assert b'"seed"' not in answer.body, path  # type: ignore[attr-defined]
        assert answer.status in (400, 404), path


def test_a_picture_that_is_not_there_is_asked_for_again_next_time(display: Display) -> None:
    answer = ask(display, f"/pictures/photos/{'a' * 64}.jpg")
    assert answer.status == 404
    assert answer.getheader("Cache-Control") == "no-store"


def test_a_store_that_is_away_is_said_to_be_away(display: Display, studio: Studio) -> None:
    job = studio.dream((1, 2, 3))
    folder = display.settings.data / "store" / "photos"
    shutil.rmtree(folder)
    folder.touch()  # the store's folder can be reached and not be read
    assert ask(display, f"/pictures/{photo_name(job.photo_id)}").status == 503
