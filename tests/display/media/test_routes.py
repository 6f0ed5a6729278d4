"""The routes beside Streamlit's own, asked as a browser and as someone with bad intentions would ask."""

import http.client
import json
import shutil

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from shared.jobs.job import Job
from shared.runtime_settings import update_runtime_settings
from shared.storage.object_names import (
    clip_name,
    dream_name,
    frame_name,
    photo_name,
    preview_name,
    sidecar_name,
    thumb_name,
    zoom_name,
)
from tests.display.conftest import DisplayProcess, wait_until
from tests.display.fake_pipeline import Color, FakePipeline


def send_request(
    display: DisplayProcess, path: str, *, method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    """Send a path exactly as it is written."""
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        return response
    finally:
        connection.close()


def add_shown_dream(display: DisplayProcess, pipeline: FakePipeline, color: Color) -> Job:
    """A dream that the display has heard of."""
    job = pipeline.add_dream(color)
    wait_until(lambda: send_request(display, f"/pictures/{dream_name(job.id)}").status == 200, "the dream is shown")
    return job


def test_a_dream_is_served_once_and_then_kept_by_the_browser(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    path = f"/pictures/{dream_name(job.id)}"
    answer = send_request(display, path)
    assert answer.status == 200
    assert answer.getheader("Content-Type") == "image/jpeg"
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert "no-cache" in (answer.getheader("Cache-Control") or "")  # it may have to go
    assert send_request(display, path, If_None_Match=answer.getheader("ETag") or "").status == 304
    assert send_request(display, f"/pictures/{photo_name(job.photo_id)}").status == 200


def test_the_clips_of_a_dream_are_served_as_what_they_are(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    kinds = {clip_name: "video/mp4", zoom_name: "video/mp4", preview_name: "image/webp"}
    for named, kind in kinds.items():
        assert send_request(display, f"/pictures/{named(job.id)}").status == 404
        pipeline.store.put(named(job.id), b"moving")
        answer = send_request(display, f"/pictures/{named(job.id)}")
        assert (answer.status, answer.getheader("Content-Type")) == (200, kind)
        assert answer.body == b"moving"  # type: ignore[attr-defined]


def test_a_phone_gets_the_parts_of_a_video_that_it_asks_for(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    pipeline.store.put(clip_name(job.id), b"0123456789")
    path = f"/pictures/{clip_name(job.id)}"
    whole = send_request(display, path)
    assert whole.getheader("Accept-Ranges") == "bytes"
    for asked, given in {"0-1": b"01", "4-": b"456789", "-3": b"789", "8-99": b"89", "-99": b"0123456789"}.items():
        answer = send_request(display, path, Range=f"bytes={asked}", If_Range=whole.getheader("ETag") or "")
        begin = b"0123456789".index(given)
        assert (answer.status, answer.body) == (206, given)  # type: ignore[attr-defined]
        assert answer.getheader("Content-Range") == f"bytes {begin}-{begin + len(given) - 1}/10"
        assert answer.getheader("Content-Type") == "video/mp4"
    for beyond in ("10-", "-0"):
        answer = send_request(display, path, Range=f"bytes={beyond}")
        assert (answer.status, answer.getheader("Content-Range")) == (416, "bytes */10")
    for not_given in ("bytes=0-1,4-5", "bytes=7-3", "pages=1"):
        answer = send_request(display, path, Range=not_given)
        assert (answer.status, answer.body) == (200, b"0123456789")  # type: ignore[attr-defined]
    changed_meanwhile = send_request(display, path, Range="bytes=0-1", If_Range='"old"')
    assert changed_meanwhile.body == b"0123456789"  # type: ignore[attr-defined]


PATH_TRICKS = [
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
    "dreams/{job}/dream.mp4",
    "dreams/{job}/zoom.webp",
    "photos/{photo}.mp4",
    "dreams/{job}/frames/../dream.jpg",
    "dreams/{job}/frames/04.jpg%2f..%2f..%2fdream.json",
    "dreams/*/dream.jpg",
    "references/secret.jpg",
    "secret.jpg",
    "",
]


def test_a_path_trick_shows_nothing(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    assert pipeline.store.get(sidecar_name(job.id))
    pipeline.store.put("secret.jpg", b"secret")
    pipeline.store.put("references/secret.jpg", b"secret")
    for trick in PATH_TRICKS:
        path = "/pictures/" + trick.format(photo=job.photo_id, job=job.id)
        answer = send_request(display, path)
        assert answer.getheader("Content-Type") != "image/jpeg", path
        assert b"secret" not in answer.body, path  # type: ignore[attr-defined]
        assert b'"seed"' not in answer.body, path  # type: ignore[attr-defined]
        assert answer.status in (400, 404), path


def test_a_picture_that_is_not_there_is_asked_for_again_next_time(display: DisplayProcess) -> None:
    answer = send_request(display, f"/pictures/photos/{'a' * 64}.jpg")
    assert answer.status == 404
    assert answer.getheader("Cache-Control") == "no-store"


def test_a_store_that_is_away_is_said_to_be_away(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = add_shown_dream(display, pipeline, (1, 2, 3))
    folder = display.settings.data / "store" / "photos"
    shutil.rmtree(folder)
    folder.touch()  # the store's folder can be reached and not be read
    assert send_request(display, f"/pictures/{photo_name(job.photo_id)}").status == 503


def test_nothing_that_is_not_shown_is_given_away(display: DisplayProcess, pipeline: FakePipeline) -> None:
    update_runtime_settings(pipeline.client, approval=True)
    job = pipeline.add_dream((1, 2, 3))
    shown = add_approved_dream(display, pipeline)
    for name in (dream_name(job.id), thumb_name(job.id), frame_name(job.id, 4), photo_name(job.photo_id)):
        assert pipeline.store.get(name) or name == thumb_name(job.id)
        assert send_request(display, f"/pictures/{name}").status == 404, name
    assert send_request(display, f"/gallery/dreams/{job.id}").status == 404
    listed = json.loads(send_request(display, "/gallery/dreams").body)  # type: ignore[attr-defined]
    assert [dream["job_id"] for dream in listed["dreams"]] == [shown.id]


def add_approved_dream(display: DisplayProcess, pipeline: FakePipeline) -> Job:
    """A dream that is shown, so that the display has heard of all before it."""
    update_runtime_settings(pipeline.client, approval=False)
    return add_shown_dream(display, pipeline, (7, 8, 9))


def test_who_sends_text_where_streamlit_takes_bytes_fills_no_log(display: DisplayProcess) -> None:
    for _ in range(3):
        address = f"ws://127.0.0.1:{display.settings.port}/_stcore/stream"
        with connect(address, subprotocols=[Subprotocol("streamlit")]) as socket:
            socket.send("this is text")
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
    assert display.stop()[:2] == (0, "")
