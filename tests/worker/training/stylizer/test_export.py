"""What OpenCV runs is what Keras trained."""

import hashlib

import cv2
import keras
import numpy as np
import pytest

from shared.stylizer import CARD_FILE, GRAPH_FILE, METADATA_FILE, PICTURE, STYLE, StylizerMetadata
from worker.training.stylizer.config import StylizerConfig
from worker.training.stylizer.export import export_stylizer, to_onnx
from worker.training.stylizer.network import build_stylizer

CONFIG = StylizerConfig(painters=("Paul Klee", "Edvard Munch", "Claude Monet"), steps=7)


@pytest.fixture(scope="module")
def stylizer() -> keras.Model:
    """Return a stylizer with random weights, those of the styles included."""
    keras.utils.set_random_seed(0)
    stylizer = build_stylizer(len(CONFIG.painters))
    rng = np.random.default_rng(0)
    for layer in stylizer.layers:
        if layer.name.endswith(("_scale", "_shift")):
            layer.set_weights([weights + rng.normal(0, 0.2, weights.shape) for weights in layer.get_weights()])
    return stylizer


@pytest.mark.parametrize("shares", [(0, 1, 0), (0.25, 0, 0.75)], ids=["one style", "a blend"])
@pytest.mark.parametrize("size", [(48, 64), (64, 36)], ids=["wide", "tall"])
def test_opencv_paints_what_keras_paints(
    stylizer: keras.Model, size: tuple[int, int], shares: tuple[float, float, float]
) -> None:
    picture = np.random.default_rng(1).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    style = np.array([shares], np.float32)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(to_onnx(stylizer), np.uint8))
    network.setInput(np.ascontiguousarray(picture.transpose(0, 3, 1, 2)), PICTURE)
    network.setInput(style, STYLE)
    painting = network.forward().transpose(0, 2, 3, 1)
    expected = np.asarray(stylizer({PICTURE: picture, STYLE: style}))
    assert painting.shape == picture.shape
    assert expected.std() > 0.05
    np.testing.assert_allclose(painting, expected, atol=1e-4)


def test_the_files_describe_the_graph(stylizer: keras.Model) -> None:
    files = export_stylizer(stylizer, CONFIG, command="artdream train-stylizer …", license_text="MIT")
    metadata = StylizerMetadata.model_validate_json(files[METADATA_FILE])
    assert metadata.sha256 == hashlib.sha256(files[GRAPH_FILE]).hexdigest()
    assert (metadata.styles, metadata.steps, metadata.license) == (CONFIG.painters, 7, "MIT")
    card = files[CARD_FILE].decode()
    assert "Paul Klee, Edvard Munch and Claude Monet" in card
    assert metadata.sha256 in card
