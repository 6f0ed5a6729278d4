"""The first layers of a network are kept as a file of this project, which is verified before it is used."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import ArtDreamError
from tests.worker.networks.npm_packages import describe_layers, make_tensors, pack, select_arrays, write_modules
from worker.networks.loaders.packaged_layers import PackagedLayers, digest_arrays, read_arrays

TENSORS = make_tensors(convolutions=3)
CONTENT = pack(write_modules(TENSORS))
ARRAYS = select_arrays(TENSORS, convolutions=2)


@pytest.fixture
def layers() -> PackagedLayers:
    """Return the first two of a package's three convolutions."""
    return describe_layers(CONTENT, ARRAYS)


def test_the_kept_file_has_the_first_layers_and_a_name_of_its_own(layers: PackagedLayers, tmp_path: Path) -> None:
    path = layers.keep(CONTENT, tmp_path)
    assert path == tmp_path / "inception_v3-up-to-mixed5-nsfwjs-4.4.0.npz"
    assert list(tmp_path.iterdir()) == [path]
    kept = read_arrays(path)
    assert kept.keys() == ARRAYS.keys()
    for name, values in kept.items():
        np.testing.assert_array_equal(values, ARRAYS[name])
    assert layers.verify(tmp_path) == (path, layers.sha256)


def test_the_digest_is_that_of_the_numbers_however_the_file_was_written(layers: PackagedLayers, tmp_path: Path) -> None:
    np.savez_compressed(layers.path_in(tmp_path), **dict[str, Any](reversed(ARRAYS.items())))
    assert layers.verify(tmp_path)[1] == layers.sha256


@pytest.mark.parametrize(
    "other",
    [
        {name: values for name, values in ARRAYS.items() if name != "conv2/beta"},
        ARRAYS | {"conv1/beta": np.nextafter(ARRAYS["conv1/beta"], np.float32(9))},
        ARRAYS | {"conv1/beta": ARRAYS["conv1/beta"].view(np.int32)},
        ARRAYS | {"conv1/beta": ARRAYS["conv1/beta"].reshape(2, 4)},
        ARRAYS | {"conv1/beta": ARRAYS["conv1/mean"], "conv1/mean": ARRAYS["conv1/beta"]},
    ],
)
def test_other_numbers_have_another_digest_and_are_refused(
    layers: PackagedLayers, tmp_path: Path, other: dict[str, np.ndarray]
) -> None:
    assert digest_arrays(other) != digest_arrays(ARRAYS)
    np.savez(layers.path_in(tmp_path), **dict[str, Any](other))
    with pytest.raises(ArtDreamError, match=r"not those of inception_v3: delete the file and run `artdream networks"):
        layers.verify(tmp_path)


def test_a_damaged_file_is_one_sentence(layers: PackagedLayers, tmp_path: Path) -> None:
    path = layers.keep(CONTENT, tmp_path)
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], content.replace(b"'shape'", b"'shade'")):
        path.write_bytes(damaged)
        with pytest.raises(ArtDreamError, match=r"nsfwjs-4\.4\.0\.npz cannot be read .*delete the file"):
            layers.verify(tmp_path)


def test_a_package_without_a_layer_or_with_other_weights_keeps_nothing(layers: PackagedLayers, tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match=r"does not hold 'conv2d_4/kernel'"):
        replace(layers, convolutions=4).keep(CONTENT, tmp_path)
    with pytest.raises(ArtDreamError, match=r"its weights are not those of inception_v3"):
        replace(layers, sha256="0" * 64).keep(CONTENT, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(layers: PackagedLayers, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtDreamError, match=r"weights of inception_v3 could not be kept as .*file/inception_v3"):
        layers.keep(CONTENT, tmp_path / "file")
