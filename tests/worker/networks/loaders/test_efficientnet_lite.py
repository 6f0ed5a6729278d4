"""EfficientNet-Lite classifies correctly in each variant, and its layers and classes have names."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shared.errors import ArtDreamError
from worker.networks import Networks
from worker.networks.loaders import efficientnet_lite
from worker.networks.loaders.efficientnet_lite import build_lite_backbone, load_lite, load_lite_from, locate_weights
from worker.networks.loaders.lite_variants import LITE_VARIANTS
from worker.networks.network import Network, softmax, to_picture

NETWORKS = Networks(Path("/nowhere"), precision="float32")


PHOTOS_FOLDER = Path(__file__).parents[4].parent / "shared" / "data" / "photos"
KNOWN_PHOTOS = {"google-coral__cat_1080p.jpg": 285, "drewnoakes__Canon_PowerShot_A20.jpg": 649}
SKY_COLOR = (130, 180, 230)


def draw_crossword() -> Image.Image:
    image = Image.new("RGB", (224, 224))
    pen = ImageDraw.Draw(image)
    for i in range(14):
        for j in range(14):
            black = (i * j + 2 * i + 3 * j) % 7 == 0
            pen.rectangle((i * 16, j * 16, i * 16 + 16, j * 16 + 16), "black" if black else "white", "black")
    return image


def draw_honeycomb() -> Image.Image:
    image = Image.new("RGB", (224, 224), (150, 90, 10))
    pen = ImageDraw.Draw(image)
    for row in range(-1, 14):
        for column in range(-1, 14):
            x, y = (column + row % 2 / 2) * 14 * math.sqrt(3), row * 21
            corners = [(x + 12 * math.sin(a * math.pi / 3), y + 12 * math.cos(a * math.pi / 3)) for a in range(6)]
            pen.polygon(corners, (240, 180, 40))
    return image


def draw_spider_web() -> Image.Image:
    image = Image.new("RGB", (224, 224), (20, 30, 20))
    pen = ImageDraw.Draw(image)

    def at(radius: float, spoke: int) -> tuple[float, float]:
        return 112 + radius * math.cos(spoke * math.pi / 8), 112 + radius * math.sin(spoke * math.pi / 8)

    for spoke in range(16):
        pen.line([(112, 112), at(160, spoke)], (220, 220, 220))
        for radius in range(8, 150, 8):
            pen.line([at(radius, spoke), at(radius, spoke + 1)], (200, 200, 200))
    return image


def draw_traffic_light() -> Image.Image:
    image = Image.new("RGB", (224, 224), SKY_COLOR)
    pen = ImageDraw.Draw(image)
    pen.rectangle((106, 170, 118, 224), (60, 60, 60))
    pen.rounded_rectangle((76, 24, 148, 176), 12, (25, 25, 25))
    for y, colour in ((50, (230, 30, 20)), (100, (70, 60, 10)), (150, (10, 60, 20))):
        pen.ellipse((92, y - 20, 132, y + 20), colour)
    return image


@cache
def load_variant(name: str) -> Network:
    return NETWORKS.load(name)


def classify(variant: str, pixels: NDArray[np.uint8]) -> tuple[int, float]:
    """Return the index of the most probable ImageNet class, and its probability."""
    probabilities = softmax(np.asarray(load_variant(variant).model(to_picture(pixels))))[0]
    return int(np.argmax(probabilities)), float(probabilities.max())


# The classes are ImageNet's. The probabilities were recorded once the real photos below were classified correctly; they
# detect a fault too small to change the class, such as another epsilon in the normalization.
@pytest.mark.parametrize(
    ("variant", "draw", "imagenet_class", "probability"),
    [
        ("lite", draw_crossword, 918, 0.65),
        ("lite", draw_honeycomb, 599, 0.81),
        ("lite", draw_spider_web, 815, 0.81),
        ("lite", draw_traffic_light, 920, 0.61),
        ("lite2", draw_crossword, 918, 0.38),
        ("lite2", draw_honeycomb, 599, 1.0),
        ("lite2", draw_spider_web, 815, 0.91),
        ("lite2", draw_traffic_light, 920, 0.94),
    ],
)
def test_the_network_recognises_a_drawing(
    variant: str, draw: Callable[[], Image.Image], imagenet_class: int, probability: float
) -> None:
    best_class, best_probability = classify(variant, np.asarray(draw()))
    assert best_class == imagenet_class
    assert best_probability == pytest.approx(probability, abs=0.02)


@pytest.mark.skipif(not PHOTOS_FOLDER.is_dir(), reason="the real photos are not here")
@pytest.mark.parametrize("variant", LITE_VARIANTS)
@pytest.mark.parametrize("name", KNOWN_PHOTOS)
def test_the_network_recognises_a_real_photo(variant: str, name: str) -> None:
    photo, side = Image.open(PHOTOS_FOLDER / name).convert("RGB"), LITE_VARIANTS[variant].side
    scale = (side + 32) / min(photo.size)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BICUBIC)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    assert classify(variant, np.asarray(photo.crop((left, top, left + side, top + side))))[0] == KNOWN_PHOTOS[name]


def test_the_answer_is_the_mean_of_the_class_map() -> None:
    activations = NETWORKS.load("lite").feature_extractor(["classmap", "logits"])(
        to_picture(np.asarray(draw_traffic_light()))
    )
    assert activations["classmap"].shape == (1, 7, 7, 1000)
    np.testing.assert_allclose(
        np.mean(activations["classmap"], axis=(1, 2)), activations["logits"], rtol=1e-4, atol=1e-4
    )


def test_a_layer_is_known_by_its_name() -> None:
    network = NETWORKS.load("lite")
    activations = network.feature_extractor(["block10", "stem", "block11_depthwise"])(
        np.zeros((1, 64, 96, 3), np.float32)
    )
    shapes = {name: tuple(value.shape) for name, value in activations.items()}
    assert shapes == {"block10": (1, 4, 6, 112), "stem": (1, 32, 48, 32), "block11_depthwise": (1, 2, 3, 672)}
    assert {"head", "logits"} | {f"block{index}" for index in range(16)} <= set(network.layers)


def test_the_larger_variant_is_wider_and_deeper_between_the_same_stem_and_head() -> None:
    network = load_variant("lite2")
    channels = [network.channel_count(f"block{index}") for index in (0, 3, 6, 10, 14, 19, 20)]  # of each group's last
    assert channels == [16, 24, 48, 88, 120, 208, 352]
    assert (network.channel_count("stem"), network.channel_count("head")) == (32, 1280)
    assert "block21" not in network.layers


def test_a_backbone_is_the_network_without_its_classifier_and_can_be_trained() -> None:
    picture = to_picture(np.asarray(draw_honeycomb()))
    for variant in LITE_VARIANTS:
        backbone = build_lite_backbone(variant)
        expected = load_variant(variant).feature_extractor(["head"])(picture)["head"]
        np.testing.assert_allclose(backbone(picture), expected, rtol=1e-4, atol=1e-4)
        assert len(backbone.trainable_variables) == len(backbone.variables) > 0


def test_classes_are_known_by_name() -> None:
    network = NETWORKS.load("lite")
    assert [network.class_index(name) for name in ("Egyptian cat", "ESPRESSO", "traffic light", "207")] == [
        285,
        967,
        920,
        207,
    ]


def test_the_probabilities_of_a_picture_of_any_size_are_those_of_its_classes() -> None:
    drawing = Image.fromarray(np.asarray(draw_traffic_light())).resize((500, 400))
    network = NETWORKS.load("lite")
    probabilities = network.predict_probabilities(np.asarray(drawing))
    assert probabilities.shape == (1000,)
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert network.classes[int(np.argmax(probabilities))] == "traffic light"


# Rounding to 8 bits of mantissa in 30 convolutions changes at most 2 to 7 % of the largest activation, never the class.
def test_in_bfloat16_it_sees_the_same(tmp_path: Path) -> None:
    exact, fast = NETWORKS.load("lite"), Networks(tmp_path, precision="bfloat16").load("lite")
    pixels = np.asarray(draw_honeycomb())
    assert fast.precision == "bfloat16"
    assert np.argmax(fast.predict_probabilities(pixels)) == np.argmax(exact.predict_probabilities(pixels)) == 599
    exact_activations, fast_activations = (
        np.asarray(network.feature_extractor(["block10"])(to_picture(pixels))["block10"]) for network in (exact, fast)
    )
    assert fast_activations.dtype == np.float32
    assert np.abs(exact_activations - fast_activations).max() < 0.1 * np.abs(exact_activations).max()


@pytest.mark.slow
def test_with_jax_it_loads_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    program = (
        "import sys; from pathlib import Path; from worker.networks import Networks;"
        "Networks(Path('/nowhere')).load('lite').feature_extractor(['block10']);"
        "print([name for name in ('tensorflow', 'jax') if name in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout == "['jax']\n"


def test_an_unknown_layer_is_named_with_near_ones() -> None:
    with pytest.raises(ArtDreamError, match=r"network lite has no layer “block10_deptwise”.*block10_depthwise"):
        NETWORKS.load("lite").feature_extractor(["stem", "block10_deptwise"])


def test_an_unknown_network_is_named_with_near_ones() -> None:
    with pytest.raises(ArtDreamError, match=r"no network “light”.*lite"):
        NETWORKS.load("light")


@pytest.mark.parametrize("variant", LITE_VARIANTS)
def test_weights_with_one_changed_bit_are_refused(variant: str, tmp_path: Path) -> None:
    content = bytearray(locate_weights(variant).read_bytes())
    content[-1] ^= 1
    changed = tmp_path / "changed.pth"
    changed.write_bytes(content)
    with pytest.raises(ArtDreamError, match=rf"changed\.pth are not those of {LITE_VARIANTS[variant].title}"):
        load_lite_from(changed, name=variant)


def test_the_weights_of_one_variant_are_not_taken_for_those_of_another() -> None:
    with pytest.raises(ArtDreamError, match=r"are not those of EfficientNet-Lite2"):
        load_lite_from(locate_weights("lite"), name="lite2")


def test_a_variant_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(LITE_VARIANTS["lite2"], package="no_such_package")
    monkeypatch.setattr(efficientnet_lite, "LITE_VARIANTS", {**LITE_VARIANTS, "lite2": absent})
    with pytest.raises(ArtDreamError, match="lite2 has no weights here: the extra “train” of artdream"):
        load_lite(name="lite2")


def test_the_figures_of_a_variant_are_those_of_its_file_and_network() -> None:
    for name, variant in LITE_VARIANTS.items():
        assert locate_weights(name).stat().st_size == variant.size
        assert len(load_variant(name).layers) == variant.layers
