"""A network knows its layers and classes by name with helpful errors, and pixels survive the conversion to pictures."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from shared.errors import ArtDreamError
from worker.networks.class_names import imagenet_classes
from worker.networks.network import Network, to_picture, to_pixels


def make_network(*classes: str) -> Network:
    picture = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, 2, padding="same", name="first")(picture)
    x = layers.Conv2D(max(1, len(classes)), 3, 2, padding="valid", name="classmap")(x)
    model = keras.Model(picture, x)
    return Network("tiny", "00", model, ("first", "classmap"), "float32", classes, "classmap" if classes else None)


def test_imagenets_class_names_are_a_thousand_and_no_two_alike() -> None:
    names = imagenet_classes()
    assert len({name.casefold() for name in names}) == len(names) == 1000
    assert (names[285], names[967], names[0], names[999]) == ("Egyptian cat", "espresso", "tench", "toilet tissue")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("monnet", "no class “monnet”. Did you mean Claude Monet"),
        ("monet", "no class “monet”. Did you mean Claude Monet?"),
        ("3", "no class 3: its classes are 0 to 2"),
    ],
)
def test_an_unknown_class_is_named_with_near_ones(name: str, sentence: str) -> None:
    network = make_network("Claude Monet", "Edouard Manet", "Paul Klee")
    with pytest.raises(ArtDreamError, match=sentence.replace("?", r"\?")):
        network.class_index(name)
    assert network.class_index("paul KLEE") == network.class_index("2") == 2


def test_a_network_without_classes_says_so() -> None:
    for operation in (
        lambda: make_network().class_index("cat"),
        lambda: make_network().predict_probabilities(np.zeros((8, 8, 3), np.uint8)),
    ):
        with pytest.raises(ArtDreamError, match="network tiny tells no classes apart"):
            operation()


def test_a_layer_tells_its_channels_and_its_stride() -> None:
    network = make_network("a", "b")
    assert (network.channel_count("first"), network.channel_count("classmap")) == (4, 2)
    assert network.strides() == {"first": 2, "classmap": 4}
    with pytest.raises(ArtDreamError, match=r"no layer “frist”\. Did you mean first"):
        network.channel_count("frist")


@pytest.mark.parametrize("shape", [(4, 4000, 3), (4000, 4, 3)])
def test_a_very_thin_picture_is_predicted_whole_and_no_longer_than_a_panorama(shape: tuple[int, ...]) -> None:
    """Seen failing: the long side was enlarged with the short one, which took gigabytes and killed the worker."""
    network = replace(make_network("a", "b"), sides=(16,))
    thin = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    size = (128, 16) if shape[1] > shape[0] else (16, 128)
    panorama = np.asarray(Image.fromarray(thin).resize(size, Image.Resampling.BICUBIC))
    for actual, expected in zip(network.predict([thin]), network.predict([panorama]), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_pixels_survive_becoming_a_picture_and_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    picture = to_picture(pixels)
    assert (picture.min(), picture.max()) == (-1, 1)
    assert np.array_equal(to_pixels(picture), pixels)
    assert np.array_equal(to_pixels(picture * 999), np.where(pixels < 128, 0, 255))
