"""People are found in photos where they are, whatever the photo's size, and in landscapes nobody is."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from tests.pictures import make_picture, make_portrait
from tests.worker.dreaming.test_engine import make_landscape
from tools.sample_photo.person import outline_person
from worker.dreamer import Pixels
from worker.networks import people
from worker.networks.people import LONG_SIDE, WEIGHTS, WEIGHTS_FOLDER, find_people, load_network


def measure_overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    ("width", "height", "place"),
    [
        (640, 480, {}),
        (480, 640, {"scale": 0.6}),
        (900, 400, {"x": 0.8}),
        (160, 120, {}),
        (1200, 900, {"x": 0.3, "scale": 0.25}),
    ],
)
def test_a_person_is_found_where_they_are(width: int, height: int, place: dict[str, float]) -> None:
    probability = find_people(make_portrait(width, height, **place))
    assert probability is not None
    assert max(probability.shape) == LONG_SIDE
    assert probability.shape[1] / probability.shape[0] == pytest.approx(width / height, rel=0.01)
    outline = outline_person(probability.shape[::-1], **place)
    assert measure_overlap(probability > 0.5, outline) > 0.9


@pytest.mark.parametrize("photo", [make_landscape(), np.zeros((480, 640, 3), np.uint8), np.asarray(make_picture(1))])
def test_where_nobody_is_nobody_is_found(photo: Pixels) -> None:
    assert find_people(photo) is None


def test_what_the_networks_do_not_agree_on_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = make_portrait(640, 480)
    assert find_people(photo) is not None
    look = people._look
    monkeypatch.setattr(people, "_look", lambda *picture: look(*picture) * np.array([1, 1, 1, 0])[:, None, None])
    assert find_people(photo) is None


def test_a_person_far_away_is_looked_at_again_from_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """An arm is narrower than a pixel of the networks' input then."""
    photo, place = make_portrait(1200, 900, x=0.3, scale=0.18), {"x": 0.3, "scale": 0.18}
    outline = outline_person((LONG_SIDE, LONG_SIDE * 3 // 4), **place)
    near = find_people(photo)
    monkeypatch.setattr(people, "MAX_CROP_SHARE", 0)
    far = find_people(photo)
    assert near is not None
    assert measure_overlap(near > 0.5, outline) > 0.8
    assert far is None or measure_overlap(far > 0.5, outline) < measure_overlap(near > 0.5, outline)


def test_a_mirrored_photo_has_mirrored_people() -> None:
    photo = make_portrait(640, 480, x=0.3)
    probability, mirrored = find_people(photo), find_people(photo[:, ::-1])
    assert probability is not None
    assert mirrored is not None
    np.testing.assert_allclose(probability, mirrored[:, ::-1], atol=0.02)


def test_the_same_photo_has_the_same_people_in_whatever_thread() -> None:
    photos = [make_portrait(320, 240, x=x) for x in (0.2, 0.5, 0.8)] * 4
    with ThreadPoolExecutor(4) as threads:
        for photo, probability in zip(photos, threads.map(find_people, photos), strict=True):
            np.testing.assert_array_equal(probability, find_people(photo))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_no_size_is_too_small_or_too_narrow(width: int, height: int) -> None:
    find_people(make_portrait(width, height))


def test_the_bundled_weights_are_those_that_are_pinned() -> None:
    for weights in WEIGHTS:
        content = (WEIGHTS_FOLDER / weights.file).read_bytes()
        assert hashlib.sha256(content).hexdigest() == weights.sha256
        network = cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
        network.setInput(np.zeros((1, 3, weights.height, weights.width), np.float32))
        assert network.forward().shape == (1, 1, weights.height, weights.width)


@pytest.mark.parametrize("content", [b"", b"TFL3 and something else", None])
def test_weights_that_are_damaged_or_missing_are_refused_with_their_path(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "weights.tflite"
    if content is not None:
        path.write_bytes(content)
    fault = "cannot be read" if content is None else "are damaged"
    with pytest.raises(
        ArtDreamError, match=rf"^The weights {re.escape(str(path))} {fault}.*: install ArtDream again\.$"
    ):
        load_network(path, WEIGHTS[0].sha256)
