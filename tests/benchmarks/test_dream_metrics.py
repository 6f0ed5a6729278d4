"""The figures of a dream are right for pictures whose answer is known."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from benchmarks.dream_metrics import (
    bootstrap_mean,
    convert_to_lab,
    describe_palette,
    measure_change_spectrum,
    measure_fine_color,
    measure_fine_energy,
    measure_gram_distance,
    measure_palette_distance,
    rank_ascending,
)

SIZE = 192, 256


def draw_wave(frequency: float, angle: float = 0.0, amplitude: float = 1.0) -> np.ndarray:
    """Return a sine wave, (height, width), of a radial frequency in cycles per pixel."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    wave: np.ndarray = amplitude * np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))
    return wave


def as_pixels(planes: np.ndarray) -> np.ndarray:
    return np.clip(np.round(planes), 0, 255).astype(np.uint8)


def grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("frequency", "angle", "share"), [(0.1, 0.0, 0), (0.3, 0.0, 1), (0.3, 0.7, 1), (0.2, 0.785, 0), (0.45, 1.57, 1)]
)
def test_a_wave_is_fine_if_its_radial_frequency_is(frequency: float, angle: float, share: int) -> None:
    assert measure_fine_energy(draw_wave(frequency, angle)[..., None], 0.25) == pytest.approx(share, abs=1e-3)


def test_the_share_is_one_of_energies_and_adds_up_over_planes() -> None:
    coarse, fine = draw_wave(0.05, 0.3, amplitude=3), draw_wave(0.35, 1.1)
    assert measure_fine_energy((coarse + fine)[..., None], 0.25) == pytest.approx(0.1, abs=2e-3)
    assert measure_fine_energy(np.stack([coarse, fine], -1), 0.25) == pytest.approx(0.1, abs=2e-3)


def test_white_noise_has_the_share_of_its_area_in_the_plane_of_frequencies() -> None:
    noise = np.random.default_rng(0).normal(size=(*SIZE, 3))
    assert measure_fine_energy(noise, 0.25) == pytest.approx(1 - np.pi / 16, abs=0.01)


def test_neither_brightness_nor_borders_count_as_detail() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    ramp = 1000.0 + x + 2 * y  # without a window, the step at its borders is detail
    assert measure_fine_energy(ramp[..., None], 0.25) < 1e-5
    assert measure_fine_energy(200 + draw_wave(0.3)[..., None], 0.25) == pytest.approx(1, abs=1e-3)
    assert measure_fine_energy(np.zeros((*SIZE, 1)), 0.25) == 0


def test_a_change_of_lightness_and_one_of_colour_are_told_apart() -> None:
    photo = as_pixels(grey(128 + draw_wave(0.4, amplitude=40)))  # the photo's own detail is no change
    fine_light, coarse_color = grey(draw_wave(0.35, amplitude=30)), draw_wave(0.05, amplitude=30)[..., None]
    change = measure_change_spectrum(photo, as_pixels(photo + fine_light + coarse_color * [1, 0, -1]))
    assert change.luma == pytest.approx(1, abs=0.02 * 3)
    assert change.chroma == pytest.approx(0, abs=0.01)
    assert change.total == pytest.approx(3 / 5, abs=0.01)  # three planes of fine light, two of coarse colour


def test_an_unchanged_photo_has_no_fine_change() -> None:
    photo = as_pixels(grey(128 + draw_wave(0.4, amplitude=40)))
    assert measure_change_spectrum(photo, photo) == (0, 0, 0)


def test_colour_noise_is_found_and_noise_of_lightness_is_not() -> None:
    noise = np.random.default_rng(0).normal(scale=20, size=(*SIZE, 3))
    coarse_color = draw_wave(0.03, amplitude=40)[..., None] * [1, -0.5, 0]
    assert measure_fine_color(as_pixels(128 + coarse_color + grey(noise[..., 0]))) < 0.02
    assert measure_fine_color(as_pixels(128 + noise)) == pytest.approx(1 - 0.04 * np.pi, abs=0.02)


def test_lab_is_that_of_the_standards() -> None:
    colors = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)
    published: list[list[float]] = [
        [100, 0, 0],
        [0, 0, 0],
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
    ]
    assert np.allclose(convert_to_lab(colors), [*published, [53.585, 0.0, 0.0]], atol=0.05)


def test_lab_agrees_with_little_cms() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert converted is not None
    stored = np.asarray(converted)
    reference = np.concatenate([stored[..., :1] / 2.55, stored[..., 1:].view(np.int8)], axis=-1)
    # Its white is D50, onto which colours are adapted, and it rounds.
    assert np.abs(convert_to_lab(pixels) - reference).mean() < 2.5


def test_a_palette_that_is_shifted_is_half_as_far_as_it_was_shifted() -> None:
    rng = np.random.default_rng(0)
    lab = rng.normal([60, 10, -20], [20, 8, 8], (20_000, 3))
    for shift in ([0, 0, 12], [0, 12, 0], [12, 0, 0], [4, -8, 8]):
        distance = measure_palette_distance(describe_palette(lab), describe_palette(lab + shift))
        assert distance == pytest.approx(6, rel=0.05)


def test_a_palette_knows_shares_of_colours_and_not_their_places() -> None:
    red, blue = [53.0, 80.0, 67.0], [32.0, 79.0, -108.0]

    def mix(share: float) -> np.ndarray:
        return np.array([red] * round(1000 * share) + [blue] * round(1000 * (1 - share)))

    half = describe_palette(mix(0.5))
    assert measure_palette_distance(half, describe_palette(mix(0.5)[::-1])) < 1e-4
    distances = [measure_palette_distance(half, describe_palette(mix(share))) for share in (0.6, 0.8, 1.0)]
    apart = measure_palette_distance(describe_palette(mix(1.0)), describe_palette(mix(0.0)))
    assert distances == pytest.approx([0.1 * apart, 0.3 * apart, 0.5 * apart], rel=0.03)


def test_the_gram_distance_is_relative_to_the_painter_and_adds_up_over_layers() -> None:
    rng = np.random.default_rng(0)
    means = [1000 * rng.normal(size=(4, 4)), rng.normal(size=(6, 6))]
    assert measure_gram_distance(means, means) == 0
    assert measure_gram_distance([0 * mean for mean in means], means) == pytest.approx(2)
    assert measure_gram_distance([1.5 * means[0], means[1]], means) == pytest.approx(0.25)


def test_the_gram_distance_can_be_relative_to_what_all_painters_have() -> None:
    assert measure_gram_distance([np.eye(2)], [3 * np.eye(2)], [16.0]) == pytest.approx(8 / 16)


def test_ranks_begin_at_one_for_the_nearest() -> None:
    distances = [0.5, 0.2, 0.9, 0.2]
    assert [rank_ascending(distances, index) for index in range(4)] == [3, 1, 4, 1]


def test_the_interval_of_a_mean_is_that_of_the_photos_not_of_the_dreams() -> None:
    rng = np.random.default_rng(1)
    photos = rng.normal(0.5, 0.1, 100)
    groups = [[float(photo)] * 50 for photo in photos]  # 50 dreams of a photo tell no more than one
    interval = bootstrap_mean(groups)
    assert interval.mean == pytest.approx(photos.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * photos.std() / 10, rel=0.05)
    assert interval == bootstrap_mean(groups)
    assert bootstrap_mean([[0.0, 1.0, 1.0, 1.0]]) == (0.75, 0.75, 0.75)


def test_photos_with_more_dreams_weigh_more() -> None:
    assert bootstrap_mean([[1.0], [0.0, 0.0, 0.0]]).mean == 0.25
