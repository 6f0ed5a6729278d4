"""The stylizer: what it paints, and what it says of a network that is not in order."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from display.mirror.stylizer import NETWORK_FOLDER, Pixels, Stylizer, fit, read_metadata
from shared.errors import ArtDreamError
from shared.stylizer import GRAPH_FILE, METADATA_FILE, SIDE_MULTIPLE
from tests.display.mirror.camera import measure_difference, read_scene


def one_style(stylizer: Stylizer, index: int) -> list[float]:
    return [float(style == index) for style in range(len(stylizer.metadata.styles))]


@pytest.fixture(scope="module")
def scene() -> Pixels:
    return fit(read_scene(), 192)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A copy of the bundled network."""
    return shutil.copytree(NETWORK_FOLDER, tmp_path / "network", copy_function=shutil.copyfile)


def test_each_style_paints_another_picture(stylizer: Stylizer) -> None:
    scene = read_scene()
    paintings = [stylizer.paint(scene, one_style(stylizer, index)) for index in range(len(stylizer.metadata.styles))]
    for index, painting in enumerate(paintings):
        assert measure_difference(painting, scene) > 4
        assert all(measure_difference(painting, other) > 1 for other in paintings[:index])


def test_what_is_dark_stays_dark_in_each_style(stylizer: Stylizer) -> None:
    scene = fit(read_scene(), stylizer.metadata.side)

    def measure_brightness(picture: Pixels) -> Pixels:
        rows, columns = (side // 8 for side in picture.shape[:2])
        return picture[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8, 3).mean(axis=(1, 3, 4)).ravel()

    for index, style in enumerate(stylizer.metadata.styles):
        painting = stylizer.paint(scene, one_style(stylizer, index))
        assert np.corrcoef(measure_brightness(scene), measure_brightness(painting))[0, 1] > 0.5, style


def test_a_blend_lies_between_its_styles_and_changes_evenly(stylizer: Stylizer) -> None:
    scene, (first, second) = read_scene(), (np.asarray(one_style(stylizer, index)) for index in (0, 1))
    steps = [stylizer.paint(scene, list((1 - t) * first + t * second)) for t in (0, 0.25, 0.5, 0.75, 1)]
    whole = measure_difference(steps[0], steps[-1])
    distances = [measure_difference(steps[0], step) / whole for step in steps]
    assert distances == sorted(distances)
    assert 0.25 < distances[2] < 0.75
    assert max(np.diff(distances)) < 0.6


def test_the_same_picture_is_painted_the_same_whatever_was_painted_before(stylizer: Stylizer) -> None:
    scene, shares = read_scene(), one_style(stylizer, 0)
    before = stylizer.paint(scene, shares)
    stylizer.paint(scene[:, 200:440], one_style(stylizer, 1))
    assert np.array_equal(stylizer.paint(scene, shares), before)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (288, 384)),
        ((1080, 1920), (216, 384)),
        ((1920, 1080), (384, 216)),
        ((100, 100), (384, 384)),
        ((10, 40), (96, 384)),
    ],
)
def test_a_picture_is_painted_at_the_side_that_the_network_was_trained_at(
    stylizer: Stylizer, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert stylizer.metadata.side == 384
    painting = stylizer.paint(np.zeros((*size, 3), np.uint8), one_style(stylizer, 0))
    assert painting.shape == (*expected, 3)
    assert painting.dtype == np.uint8
    assert not any(side % SIDE_MULTIPLE for side in expected)


@pytest.mark.parametrize("name", [GRAPH_FILE, METADATA_FILE])
def test_a_missing_file_is_named(network: Path, name: str) -> None:
    (network / name).unlink()
    with pytest.raises(ArtDreamError, match=f"{name} cannot be read.*MIRROR_NETWORK"):
        read_metadata(network)


def test_a_graph_that_is_not_the_one_described_is_refused(network: Path) -> None:
    graph = bytearray((network / GRAPH_FILE).read_bytes())
    graph[len(graph) // 2] ^= 1
    (network / GRAPH_FILE).write_bytes(graph)
    with pytest.raises(ArtDreamError, match=rf"{GRAPH_FILE} is not the one that {METADATA_FILE} describes"):
        Stylizer(network)


def test_a_description_that_lacks_something_is_refused(network: Path) -> None:
    metadata = json.loads((network / METADATA_FILE).read_text())
    (network / METADATA_FILE).write_text(json.dumps(metadata | {"styles": []}))
    with pytest.raises(ArtDreamError, match=f"{METADATA_FILE} is damaged"):
        read_metadata(network)


def test_a_graph_that_opencv_cannot_read_is_one_sentence(network: Path) -> None:
    (network / GRAPH_FILE).write_bytes(b"no graph")
    metadata = json.loads((network / METADATA_FILE).read_text())
    sha256 = hashlib.sha256(b"no graph").hexdigest()
    (network / METADATA_FILE).write_text(json.dumps(metadata | {"sha256": sha256}))
    with pytest.raises(ArtDreamError, match=f"cannot read .*{GRAPH_FILE}"):
        Stylizer(network)
