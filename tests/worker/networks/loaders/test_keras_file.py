"""Any .keras file computes the same activations as in Keras; a hostile or damaged one is refused with one sentence."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from shared.errors import ArtDreamError
from tests.worker.networks.keras_models import make_pictures, randomize, save_model
from worker.backend import value_and_gradient
from worker.networks import Networks
from worker.networks.loaders.keras_file import load_keras_file
from worker.networks.metadata import NetworkMetadata


def build_layers(picture: keras.KerasTensor) -> keras.KerasTensor:
    """Build strided, depthwise and separable convolutions, joins, and normalizations that cannot be folded."""
    x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False, name="first")(picture)
    x = before = layers.Activation("relu", name="first_out")(layers.BatchNormalization(name="first_norm")(x))
    x = layers.DepthwiseConv2D(5, 2, padding="same", name="wide")(x)
    x = layers.ReLU(6, name="wide_out")(layers.BatchNormalization(name="wide_norm", scale=False)(x))
    x = layers.DepthwiseConv2D(3, 2, padding="valid", name="narrow")(x)
    x = layers.BatchNormalization(name="norm_of_narrow", center=False)(x)
    y = layers.Conv2D(16, 1, activation="relu", name="fired")(x)
    y = layers.BatchNormalization(name="norm_of_fired")(y)  # after an activation: cannot be folded
    z = layers.Conv2D(16, 1, name="read_twice")(x)
    z = layers.Add(name="sum")([layers.BatchNormalization(name="norm_of_read_twice")(z), z, y])
    pooled = layers.AveragePooling2D(4, padding="same", name="shrunk")(before)
    gate = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(pooled))
    z = layers.Multiply(name="gated")([z, layers.Conv2D(16, 1, activation="sigmoid", name="gate")(gate)])
    return layers.SeparableConv2D(24, 3, padding="same", name="last")(z)


def make_classifier(outputs: int = 3, side: int | None = None, activation: str | None = "softmax") -> keras.Model:
    picture = keras.Input((side, side, 3))
    x = layers.GlobalAveragePooling2D()(build_layers(picture))
    x = layers.Dense(outputs, activation=activation, name="answer")(layers.Dropout(0.3)(x))
    return randomize(keras.Model(picture, x))


def save_to_bytes(model: keras.Model, folder: Path) -> bytes:
    return save_model(model, folder / "some.keras").read_bytes()


def relative_distance(expected: object, actual: object) -> float:
    expected_array, actual_array = np.asarray(expected), np.asarray(actual)
    assert expected_array.shape == actual_array.shape
    return float(np.linalg.norm(expected_array - actual_array) / np.linalg.norm(expected_array))


LAYER_NAMES = [
    "first_norm",
    "first_out",
    "wide_out",
    "norm_of_narrow",
    "fired",
    "norm_of_fired",
    "sum",
    "shrunk",
    "last",
]


@pytest.mark.parametrize(
    ("card", "theirs"),
    [
        (NetworkMetadata(), lambda picture: picture),
        (NetworkMetadata(range="bytes"), lambda picture: picture * 127.5 + 127.5),
        (NetworkMetadata(range="zero_one"), lambda picture: picture / 2 + 0.5),
    ],
)
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_it_sees_what_the_original_sees(
    card: NetworkMetadata, theirs: Callable[[np.ndarray], np.ndarray], precision: str, tolerance: float, tmp_path: Path
) -> None:
    original = make_classifier()
    network = load_keras_file("some.keras", save_to_bytes(original, tmp_path), card, precision)
    expected = keras.Model(original.input, {name: original.get_layer(name).output for name in LAYER_NAMES})
    for height, width in [(64, 96), (61, 45)]:
        picture = make_pictures(height, width)
        actual = network.feature_extractor(LAYER_NAMES)(picture, training=False)
        for name, activations in expected(theirs(picture), training=False).items():
            assert relative_distance(activations, actual[name]) < tolerance, name
            assert actual[name].dtype == "float32"


def test_the_class_map_answers_as_the_dense_layer(tmp_path: Path) -> None:
    for activation in ("softmax", None):
        original = make_classifier(activation=activation)
        network = load_keras_file(
            "some.keras", save_to_bytes(original, tmp_path), NetworkMetadata(classes=("a", "b", "c")), "float32"
        )
        picture = make_pictures(64, 96)
        class_map = np.asarray(network.feature_extractor(["classmap"])(picture)["classmap"])
        assert class_map.shape == (2, 7, 11, 3)
        logits = ops.softmax(class_map.mean(axis=(1, 2))) if activation else class_map.mean(axis=(1, 2))
        np.testing.assert_allclose(logits, original(picture, training=False), rtol=1e-3, atol=1e-4)
        assert network.class_index("B") == 1


def test_a_backbone_inside_a_model_is_unfolded(tmp_path: Path) -> None:
    picture = keras.Input((64, 64, 3))
    backbone = keras.Model(picture, build_layers(picture), name="backbone")
    relu = layers.ReLU()  # one layer used twice
    head = layers.Conv2D(8, 1, name="head")(relu(layers.Conv2D(8, 1, name="neck")(relu(backbone(picture)))))
    original = randomize(keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(head))))
    network = load_keras_file("some.keras", save_to_bytes(original, tmp_path), NetworkMetadata(), "float32")
    assert {"first_norm", "last", "neck", "head", "classmap"} <= set(network.layers)
    picture = make_pictures(64, 64)
    mean = np.asarray(network.feature_extractor(["classmap"])(picture)["classmap"]).mean(axis=(1, 2))
    np.testing.assert_allclose(mean, original(picture), rtol=1e-3, atol=1e-4)
    chain = keras.Sequential([keras.Input((64, 64, 3)), backbone, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    assert load_keras_file("chain.keras", save_to_bytes(chain, tmp_path), NetworkMetadata(), "float32").classes == (
        "0",
        "1",
    )


def test_a_network_that_ends_otherwise_has_layers_but_no_classes(tmp_path: Path) -> None:
    picture = keras.Input((32, 32, 3))
    x = layers.Dense(5)(layers.Flatten()(layers.Conv2D(4, 3, 2, name="only")(picture)))
    network = load_keras_file(
        "flat.keras", save_to_bytes(keras.Model(picture, x), tmp_path), NetworkMetadata(), "float32"
    )
    assert (network.layers, network.classes, network.class_map) == (("only",), (), None)
    assert network.feature_extractor(["only"])(make_pictures(40, 56))["only"].shape == (2, 19, 27, 4)


# A single layer, so that the only difference is the rounding of the gradient to 8 bits.
@pytest.mark.parametrize("side", [2, 3, 5])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_the_gradient_of_a_strided_depthwise_convolution_is_the_same_in_bfloat16(
    side: int, padding: str, tmp_path: Path
) -> None:
    picture = keras.Input((None, None, 3))
    layer = layers.DepthwiseConv2D(side, 2, padding=padding, name="only")
    data = save_to_bytes(randomize(keras.Model(picture, layer(picture))), tmp_path)
    features = [
        load_keras_file("one.keras", data, NetworkMetadata(), precision).feature_extractor(["only"])
        for precision in ("float32", "bfloat16")
    ]
    for height, width in [(16, 24), (17, 23), (18, 21)]:
        pictures = ops.convert_to_tensor(make_pictures(height, width))
        gradients = [
            value_and_gradient(lambda x, f=precision: ops.mean(f(x)["only"] ** 2), pictures)[1][0]
            for precision in features
        ]
        assert relative_distance(*gradients) < 0.02


def test_a_file_that_holds_code_is_refused(tmp_path: Path) -> None:
    picture = keras.Input((None, None, 3))
    hostile = keras.Model(picture, layers.Lambda(lambda x: x * 2)(layers.Conv2D(4, 3)(picture)))
    with pytest.raises(ArtDreamError, match=r"hostile\.keras was refused: it holds code of its own\.$"):
        load_keras_file("hostile.keras", save_to_bytes(hostile, tmp_path), NetworkMetadata(), "float32")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    content = save_to_bytes(make_classifier(), tmp_path)
    for damaged in (b"", b"PK\x03\x04", content[: len(content) // 2], content[:200] + bytes(400) + content[600:]):
        with pytest.raises(ArtDreamError, match=r"The network bad\.keras (was refused|is not a \.keras file)"):
            load_keras_file("bad.keras", damaged, NetworkMetadata(), "float32")


def test_a_network_that_takes_no_pictures_is_refused(tmp_path: Path) -> None:
    for shape in ((7,), (16, 16, 1)):
        numbers = keras.Input(shape)
        with pytest.raises(ArtDreamError, match="takes no pictures of three colours"):
            load_keras_file(
                "n.keras",
                save_to_bytes(keras.Model(numbers, layers.Dense(2)(numbers)), tmp_path),
                NetworkMetadata(),
                "float32",
            )


def test_metadata_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match="tells 3 classes apart, but its card names 2"):
        load_keras_file(
            "some.keras", save_to_bytes(make_classifier(), tmp_path), NetworkMetadata(classes=("a", "b")), "float32"
        )


def test_a_file_is_loaded_by_path_and_by_url_with_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "my nets").mkdir()
    file = save_model(make_classifier(), tmp_path / "my nets" / "some.keras")
    file.with_suffix(".json").write_text('{"classes": ["a", "b", "c"], "side": 64, "range": "bytes"}')
    for name in (str(file), file.as_uri()):
        network = Networks(tmp_path, precision="float32").load(name)
        assert (network.name, network.classes, network.sides) == (name, ("a", "b", "c"), (64,))
    file.with_suffix(".json").write_text('{"classes": 3}')
    with pytest.raises(ArtDreamError, match=r"some\.json cannot be used: classes: "):
        Networks(tmp_path).load(str(file))
    with pytest.raises(ArtDreamError, match=r"none\.keras cannot be read: No such file"):
        Networks(tmp_path).load(str(tmp_path / "none.keras"))
