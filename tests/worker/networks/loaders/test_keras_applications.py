"""Networks of Keras Applications, loaded from their weights files, compute the same activations as Keras's models."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.applications import inception_v3, vgg19

from shared.errors import ArtDreamError
from shared.recipe.canvas import LONG_SIDES, list_canvases
from shared.recipe.recipe import AscentConfig, load_recipe
from tests.worker.networks.keras_models import describe_weights, make_pictures, randomize, save_model
from tests.worker.networks.npm_packages import (
    QuantizedTensor,
    describe_layers,
    make_tensors,
    pack,
    quantize,
    select_arrays,
    write_modules,
)
from worker.dreaming.objectives import build_objective
from worker.dreaming.octaves import list_octaves
from worker.networks import Networks
from worker.networks.loaders.downloads import WeightsFile

pytestmark = pytest.mark.slow

#: None so small that a layer is one pixel wide: there bfloat16 is wrong on some processors (`Network.min_side`).
PICTURE_SIZES = [(96, 128), (139, 107)]

#: Relative to the norm of a layer. float32: order of additions. bfloat16: 8 bits, through up to 94 convolutions.
FLOAT32_TOLERANCE, BFLOAT16_TOLERANCE = 1e-5, 0.05


class KerasModels:
    """Keras models with random weights, a folder of their saved weights, and the networks loaded from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # With its top InceptionV3 takes only 299 × 299. Keras numbers the layers of both models in one series.
        self.headless_inception = randomize(keras.applications.InceptionV3(weights=None, include_top=False))
        self.inception = keras.applications.InceptionV3(weights=None)
        self.inception.set_weights(self.headless_inception.get_weights() + self.inception.get_weights()[-2:])
        self.vgg = randomize(keras.applications.VGG19(weights=None, include_top=False))
        self.published = {
            "inception_v3": describe_weights(
                "inception_v3", save_model(self.inception, folder / "inception.weights.h5")
            ),
            "vgg19": describe_weights("vgg19", save_model(self.vgg, folder / "vgg.h5")),
        }
        exact = Networks(folder, precision="float32", published_weights=self.published)
        self._networks = {
            "float32": exact,
            "bfloat16": Networks(folder, precision="bfloat16", published_weights=self.published),
        }

    def networks(self, precision: str = "float32") -> Networks:
        return self._networks[precision]


@pytest.fixture(scope="module")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> KerasModels:
    return KerasModels(tmp_path_factory.mktemp("weights"))


def relative_distance(expected: np.ndarray, actual: np.ndarray) -> float:
    assert expected.shape == actual.shape
    return float(np.linalg.norm(expected - actual) / np.linalg.norm(expected))


def list_in_order_of_creation(original: keras.Model, prefix: str) -> list[keras.layers.Layer]:
    """Return Keras's layers of a kind, which it numbers as it builds them."""
    kind = [layer for layer in original.layers if layer.name.startswith(prefix)]
    return sorted(kind, key=lambda layer: int(layer.name.removeprefix(prefix).removeprefix("_") or 0))


def select_inception_layers(
    original: keras.Model, convolutions: tuple[int, ...] = (1, 31, 94), mixed: tuple[int, ...] = (0, 5, 10)
) -> keras.Model:
    """Return Keras's model with the compared layers as outputs, under the names of ArtDream's network."""
    activations = list_in_order_of_creation(original, "activation")
    keras_names = {f"conv{number}": activations[number - 1].name for number in convolutions}
    keras_names |= {f"mixed{number}": f"mixed{number}" for number in mixed}
    return keras.Model(
        original.input, {name: original.get_layer(keras_name).output for name, keras_name in keras_names.items()}
    )


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", FLOAT32_TOLERANCE), ("bfloat16", BFLOAT16_TOLERANCE)])
def test_inception_sees_what_kerass_own_sees(keras_models: KerasModels, precision: str, tolerance: float) -> None:
    network = keras_models.networks(precision).load("inception_v3")
    outputs = select_inception_layers(keras_models.headless_inception)
    features = network.feature_extractor(list(outputs.output))
    for height, width in PICTURE_SIZES:
        picture = make_pictures(height, width)
        preprocessed = inception_v3.preprocess_input(picture * 127.5 + 127.5)
        expected = outputs(preprocessed, training=False)
        for name, actual in features(picture, training=False).items():
            assert relative_distance(np.asarray(expected[name]), np.asarray(actual)) < tolerance, name


def test_inceptions_class_map_answers_as_its_dense_layer(keras_models: KerasModels) -> None:
    network = keras_models.networks().load("inception_v3")
    picture = make_pictures(299, 299)[:1]
    probabilities = np.asarray(keras_models.inception(picture, training=False))[0]
    class_map = np.asarray(network.feature_extractor(["classmap"])(picture)["classmap"])
    assert class_map.shape == (1, 8, 8, 1000)
    logits = class_map.mean(axis=(0, 1, 2))
    np.testing.assert_allclose(logits - logits.mean(), np.log(probabilities) - np.log(probabilities).mean(), atol=2e-3)
    assert (network.classes[207], network.sides) == ("golden retriever", (299,))


def test_inceptions_layers_have_the_same_names_in_every_process(keras_models: KerasModels) -> None:
    network = keras_models.networks().load("inception_v3")
    expected_names = {
        *(f"conv{index}" for index in range(1, 95)),
        *(f"mixed{index}" for index in range(11)),
        "classmap",
    }
    assert set(network.layers) == expected_names
    assert len(network.layers) == len(expected_names)
    strides = network.strides()
    assert [strides[name] for name in ("conv1", "mixed0", "mixed3", "mixed8")] == [2, 8, 16, 32]


def test_no_octave_is_so_small_that_a_layer_is_one_pixel_wide(keras_models: KerasModels) -> None:
    """At one pixel bfloat16 is wrong on some processors, and for smaller pictures InceptionV3 has no output."""
    networks = keras_models.networks()
    assert {name: networks.load(name).min_side for name in ("lite", "vgg19")} == {"lite": 64, "vgg19": 64}
    inception = networks.load("inception_v3")
    assert inception.min_side == 112
    ascent = AscentConfig(octaves=8, octave_scale=1.2)
    for side in LONG_SIDES:
        for canvas in list_canvases(side):
            for octave in list_octaves(canvas.height, canvas.width, ascent, inception.min_side):
                assert min(octave.height, octave.width) >= 107


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", FLOAT32_TOLERANCE), ("bfloat16", BFLOAT16_TOLERANCE)])
def test_vgg_sees_what_kerass_own_sees(keras_models: KerasModels, precision: str, tolerance: float) -> None:
    network = keras_models.networks(precision).load("vgg19")
    names = ["block1_conv1", "block1_conv2", "block2_pool", "block5_conv4", "block5_pool"]
    outputs = keras.Model(keras_models.vgg.input, {name: keras_models.vgg.get_layer(name).output for name in names})
    for height, width in PICTURE_SIZES:
        picture = make_pictures(height, width)
        expected = outputs(vgg19.preprocess_input(picture * 127.5 + 127.5))
        for name, actual in network.feature_extractor(names)(picture).items():
            assert relative_distance(np.asarray(expected[name]), np.asarray(actual)) < tolerance, name
    assert network.classes == ()
    assert len(network.layers) == 21


def test_what_the_list_says_of_them_is_true(keras_models: KerasModels) -> None:
    networks = keras_models.networks()
    for entry in networks.list_all()[:4]:
        network = networks.load(entry.name)
        assert (entry.layers, entry.classes) == (len(network.layers), len(network.classes))


def test_missing_weights_say_where_they_were_expected_and_what_to_do(tmp_path: Path) -> None:
    for name in ("inception_v3", "vgg19"):
        with pytest.raises(ArtDreamError, match=rf"{name} are not here.*{tmp_path}.*`artdream networks fetch {name}`"):
            Networks(tmp_path).load(name)


def test_damaged_weights_are_refused(keras_models: KerasModels, tmp_path: Path) -> None:
    content = (keras_models.folder / "vgg.h5").read_bytes()
    (tmp_path / "vgg.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtDreamError, match=r"vgg\.h5 are not those of vgg19: delete the file and run `artdream"):
        Networks(tmp_path, published_weights=keras_models.published).load("vgg19")


def test_weights_of_another_network_are_refused(keras_models: KerasModels) -> None:
    other = keras_models.published["inception_v3"]
    mixed_up = WeightsFile("vgg19", other.url, other.md5, other.size, "")
    with pytest.raises(ArtDreamError, match="do not fit vgg19"):
        Networks(keras_models.folder, published_weights={"vgg19": mixed_up}).load("vgg19")


class FirstLayers:
    """Inception v3 with random weights of 8 bits in its first layers, which are kept in a folder."""

    def __init__(self, folder: Path, original: keras.Model) -> None:
        self.original, self.folder = original, folder
        tensors: dict[str, QuantizedTensor] = {}
        convolutions = list_in_order_of_creation(original, "conv2d")[:50]
        batch_norms = list_in_order_of_creation(original, "batch_normalization")[:50]
        for number, (convolution, batch_norm) in enumerate(zip(convolutions, batch_norms, strict=True), start=1):
            for layer, kind, names in (
                (convolution, "conv2d", ["kernel"]),
                (batch_norm, "batch_normalization", ["beta", "moving_mean", "moving_variance"]),
            ):
                quantized = [quantize(values) for values in layer.get_weights()]
                layer.set_weights([tensor.values for tensor in quantized])
                tensors |= {f"{kind}_{number}/{name}": tensor for name, tensor in zip(names, quantized, strict=True)}
        content = pack(write_modules(tensors, shard_bytes=4 << 20))
        self.layers = describe_layers(content, select_arrays(tensors, convolutions=50))
        self.layers.keep(content, folder)
        published = WeightsFile("inception_v3", "http://127.0.0.1:9/none.h5", "", 0, "", self.layers)
        self._networks = {
            precision: Networks(folder, precision=precision, published_weights={"inception_v3": published})
            for precision in ("float32", "bfloat16")
        }

    def networks(self, precision: str = "float32") -> Networks:
        return self._networks[precision]


@pytest.fixture(scope="module")
def first_layers(tmp_path_factory: pytest.TempPathFactory) -> FirstLayers:
    original = randomize(keras.applications.InceptionV3(weights=None, include_top=False))
    return FirstLayers(tmp_path_factory.mktemp("first-layers"), original)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", FLOAT32_TOLERANCE), ("bfloat16", BFLOAT16_TOLERANCE)])
def test_inceptions_first_layers_see_what_kerass_own_see(
    first_layers: FirstLayers, precision: str, tolerance: float
) -> None:
    network = first_layers.networks(precision).load("inception_v3")
    outputs = select_inception_layers(first_layers.original, (1, 31, 50), (0, 3, 5))
    picture = make_pictures(96, 128)
    expected = outputs(picture, training=False)
    for name, actual in network.feature_extractor(list(outputs.output))(picture, training=False).items():
        assert relative_distance(np.asarray(expected[name]), np.asarray(actual)) < tolerance, name


def test_inceptions_first_layers_end_at_mixed5_and_tell_no_classes_apart(first_layers: FirstLayers) -> None:
    network = first_layers.networks().load("inception_v3")
    expected_names = {*(f"conv{index}" for index in range(1, 51)), *(f"mixed{index}" for index in range(6))}
    assert set(network.layers) == expected_names
    assert len(network.layers) == len(expected_names)
    assert (network.classes, network.class_map) == ((), None)
    assert network.digest == first_layers.layers.sha256
    build_objective(load_recipe("classic").objective, network)


def test_what_lies_behind_the_first_layers_names_the_file_that_has_it(first_layers: FirstLayers) -> None:
    network = first_layers.networks().load("inception_v3")
    file_name = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
    for name in ("mixed6", "mixed10", "conv51", "conv94", "classmap"):
        with pytest.raises(ArtDreamError, match=rf"without the layer “{name}”, because .* end at mixed5.*{file_name}"):
            network.channel_count(name)
    with pytest.raises(ArtDreamError, match=rf"without the class “peacock”, .*{file_name}.*networks fetch inception"):
        network.class_index("peacock")
    with pytest.raises(ArtDreamError, match=rf"without the classes, .*{file_name}"):
        network.predict_probabilities(np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(ArtDreamError, match=r"has no layer “mixed55”\. Did you mean mixed5"):
        network.channel_count("mixed55")


def test_the_published_file_comes_before_the_first_layers(
    keras_models: KerasModels, first_layers: FirstLayers, tmp_path: Path
) -> None:
    published = replace(keras_models.published["inception_v3"], first_layers=first_layers.layers)
    for folder, file_name in (
        (keras_models.folder, published.file_name),
        (first_layers.folder, first_layers.layers.file_name),
    ):
        (tmp_path / file_name).symlink_to(folder / file_name)
    assert published.find(tmp_path)[0] == tmp_path / published.file_name
    (tmp_path / published.file_name).unlink()
    assert published.find(tmp_path)[0] == tmp_path / first_layers.layers.file_name
    (tmp_path / first_layers.layers.file_name).unlink()
    with pytest.raises(ArtDreamError, match=r"inception_v3 are not here.*inception\.weights\.h5.*networks fetch"):
        published.find(tmp_path)


def test_first_layers_of_other_shapes_are_refused(tmp_path: Path) -> None:
    tensors = make_tensors(convolutions=50)
    content = pack(write_modules(tensors, shard_bytes=4 << 20))
    layers = describe_layers(content, select_arrays(tensors, convolutions=50))
    layers.keep(content, tmp_path)
    published = WeightsFile("inception_v3", "http://127.0.0.1:9/none.h5", "", 0, "", layers)
    with pytest.raises(ArtDreamError, match=r"nsfwjs-4\.4\.0\.npz do not fit inception_v3: .*shape"):
        Networks(tmp_path, published_weights={"inception_v3": published}).load("inception_v3")
