"""What the works of painters have in common: textures, palettes, and a judge that tells the painters apart."""

import dataclasses
import hashlib
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks import dream_metrics, layer_statistics, style_judge
from benchmarks.dream_metrics import (
    Floats,
    convert_to_lab,
    describe_palette,
    measure_fine_color,
    measure_gram_distance,
    measure_palette_distance,
    rank_ascending,
)
from benchmarks.layer_statistics import (
    STATISTICS_LAYERS,
    LayerStatistics,
    Moments,
    describe_style,
    join_moments,
    scale_to_view,
)
from benchmarks.style_judge import StyleJudge
from shared.errors import ArtDreamError, did_you_mean
from worker.dreamer import Pixels
from worker.networks.class_names import normalize_name
from worker.training.dataset import Dataset
from worker.training.dataset.near_duplicates import compute_perceptual_hash, group_near_duplicates
from worker.training.dataset.split import split
from worker.training.input_pipeline import open_picture

Arrays = dict[str, NDArray[Any]]

#: Works of a painter that are looked at, evenly spaced in the order of their files, and those of one call of a network.
MAX_WORKS, BATCH_SIZE = 120, 16

#: Seed of the split. Works of `train` describe the painter, the others are held back: a fifth.
SPLIT_SEED = 1

#: The judge learns from noisy and blurred copies as well, lest it takes noise for a hand: standard deviation of the
#: noise in levels of 255, and radius of the blur in pixels, each drawn for each work, small ones more often.
NOISE_RANGE, BLUR_RANGE = (3.0, 25.0), (0.5, 4.0)

#: Radius in pixels of the blur of the copies that the judge is asked about besides each picture: it takes away the
#: noise that fools networks, and leaves most of a painting.
JUDGED_BLUR = 2.0

#: Colours of a work, and of a picture that is compared with works.
WORK_COLORS, PICTURE_COLORS = 512, 4096

#: Everything on which the cached statistics depend besides the paintings and the network. Raise the number if the
#: meaning of any of them changes.
FORMAT = [
    *(2, MAX_WORKS, SPLIT_SEED, NOISE_RANGE, BLUR_RANGE, JUDGED_BLUR, WORK_COLORS, PICTURE_COLORS),
    *(STATISTICS_LAYERS, layer_statistics.VIEW_SIDE, dream_metrics.PALETTE_DIRECTIONS, dream_metrics.PALETTE_QUANTILES),
    *(dream_metrics.MAX_COLOR_FREQUENCY, style_judge.COMPONENTS, style_judge.REGULARIZATION, style_judge.MAX_DEVIATION),
]


@dataclass(frozen=True)
class PictureStatistics:
    """What is compared of a picture with the works of painters."""

    #: Of each layer, (channels, channels).
    grams: tuple[Floats, ...]
    #: (features,), of the picture and of a blurred copy.
    style: Floats
    blurred_style: Floats
    palette: Floats


@dataclass(frozen=True)
class Distances:
    """How far a picture is from the works of each painter, (painters,) each; the smallest is the nearest."""

    #: Minus the judge's logits, for the picture and for a blurred copy.
    judge: Floats
    blurred_judge: Floats
    #: Of the Gram matrices, relative to what painters have on average.
    texture: Floats
    #: The same relative to what each painter has, which makes those of strong contrast near to every picture.
    own_texture: Floats
    #: In Lab's units.
    palette: Floats

    def ranks(self, painter: int) -> dict[str, int]:
        """Return the rank of a painter by each distance; 1 is the nearest."""
        return {name: rank_ascending(distances, painter) for name, distances in vars(self).items()}


@dataclass(frozen=True)
class PainterWorks:
    """The works of some painters."""

    painters: tuple[str, ...]
    judge: StyleJudge
    #: Of each layer, (painters, channels, channels).
    mean_grams: tuple[Floats, ...]
    #: (painters, directions, quantiles).
    palettes: Floats
    #: Of each work that was held back: the rank of its painter by each of `Distances`, by the judge for a noisy copy
    #: (`noisy_judge`), and the share of its colour energy that is fine (`fine_color`).
    held_back: Mapping[str, NDArray[Any]]

    @classmethod
    def measure(
        cls,
        paintings: Path,
        statistics: LayerStatistics,
        network_digest: str,
        cache_folder: Path,
        on_progress: Callable[[float], None] = lambda _: None,
    ) -> Self:
        """Measure the works in a folder of paintings, or read what was measured from the cache.

        paintings: a data set, or a folder with a folder for each painter. A run that was killed is continued with the
        painter that it had reached. on_progress: called with the share of painters, 0 to 1. Raises ArtDreamError if
        there are no paintings, or one cannot be read.
        """
        dataset = Dataset.open_any(paintings)
        digest = hashlib.sha256(json.dumps([dataset.digest, network_digest, FORMAT]).encode()).hexdigest()[:16]
        cache_file = cache_folder / f"works-{digest}.npz"
        if not cache_file.exists():
            parts_folder = cache_folder / f"works-{digest}"
            parts = _measure_painters(dataset, statistics, parts_folder, on_progress)
            _save(cache_file, cls._from_parts(dataset.artists, parts)._to_arrays())
            shutil.rmtree(parts_folder)  # nearly half a gigabyte
        return cls._from_arrays(dataset.artists, _load(cache_file))

    @classmethod
    def _from_parts(cls, painters: tuple[str, ...], parts: Sequence[Arrays]) -> Self:
        """Fit the judge, and ask about the works that were held back."""
        styles = [part["styles"].reshape(-1, part["styles"].shape[-1]) for part in parts]
        labels = np.repeat(np.arange(len(parts)), [len(painter_styles) for painter_styles in styles])
        works = cls(
            painters,
            StyleJudge.fit(np.concatenate(styles).astype(np.float32), labels),
            tuple(np.stack([part[f"mean_gram_{layer}"] for part in parts]) for layer in STATISTICS_LAYERS),
            np.stack([part["palette"] for part in parts]),
            {},
        )
        held_back: dict[str, list[float]] = defaultdict(list)
        for painter, part in enumerate(parts):
            held_back["fine_color"] += part["held_fine_colors"].tolist()
            styles_of_copies = part["held_styles"].astype(np.float32)
            for index, (style, noisy_style, blurred_style) in enumerate(zip(*styles_of_copies, strict=True)):
                grams = tuple(part[f"held_grams_{layer}"][index] for layer in STATISTICS_LAYERS)
                work = PictureStatistics(grams, style, blurred_style, part["held_palettes"][index])
                for name, rank in works.compare(work).ranks(painter).items():
                    held_back[name].append(rank)
                held_back["noisy_judge"].append(rank_ascending(-works.judge.score(noisy_style[None])[0], painter))
        return dataclasses.replace(works, held_back={name: np.array(values) for name, values in held_back.items()})

    def _to_arrays(self) -> Arrays:
        return {
            **{f"judge_{name}": values for name, values in vars(self.judge).items()},
            **{f"mean_gram_{layer}": grams for layer, grams in zip(STATISTICS_LAYERS, self.mean_grams, strict=True)},
            "palettes": self.palettes,
            **{f"held_{name}": values for name, values in self.held_back.items()},
        }

    @classmethod
    def _from_arrays(cls, painters: tuple[str, ...], arrays: Arrays) -> Self:
        return cls(
            painters,
            StyleJudge(*(arrays[f"judge_{field.name}"] for field in dataclasses.fields(StyleJudge))),
            tuple(arrays[f"mean_gram_{layer}"] for layer in STATISTICS_LAYERS),
            arrays["palettes"],
            {name.removeprefix("held_"): values for name, values in arrays.items() if name.startswith("held_")},
        )

    def find_painter(self, name: str) -> int:
        """Return the index of a painter, however the name is accented. Raises ArtDreamError if there are no works."""
        normalized = [normalize_name(painter) for painter in self.painters]
        if normalize_name(name) not in normalized:
            raise ArtDreamError(f"There are no paintings by {name}. {did_you_mean(name, self.painters)}")
        return normalized.index(normalize_name(name))

    def compare(self, picture: PictureStatistics) -> Distances:
        """Return the distances of a picture from the works of all painters."""
        common_scales = [float(np.square(layer).sum(axis=(1, 2)).mean()) for layer in self.mean_grams]
        by_painter = list(zip(*self.mean_grams, strict=True))
        return Distances(
            judge=-self.judge.score(picture.style[None])[0],
            blurred_judge=-self.judge.score(picture.blurred_style[None])[0],
            texture=_as_floats(measure_gram_distance(picture.grams, grams, common_scales) for grams in by_painter),
            own_texture=_as_floats(measure_gram_distance(picture.grams, grams) for grams in by_painter),
            palette=_as_floats(measure_palette_distance(picture.palette, palette) for palette in self.palettes),
        )


def measure_picture(statistics: LayerStatistics, pixels: Pixels) -> PictureStatistics:
    """Measure a picture, (height, width, 3) uint8 sRGB of any size, as the works are measured: at the same size."""
    view = scale_to_view(pixels)
    moments = statistics.measure(np.stack([view, _blur(view, JUDGED_BLUR)]).astype(np.float32))
    palette = describe_palette(_sample_colors(view, PICTURE_COLORS, np.random.default_rng(0)))
    style, blurred_style = describe_style(moments)
    return PictureStatistics(tuple(layer.grams[0] for layer in moments), style, blurred_style, palette)


def _measure_painters(
    dataset: Dataset, statistics: LayerStatistics, folder: Path, on_progress: Callable[[float], None]
) -> list[Arrays]:
    """Measure the works of each painter, or read what is in a folder of parts."""
    files = _choose_works(dataset)
    held_back = _choose_held_back(dataset.artists, files)
    parts = []
    for index, works in enumerate(files):
        part_file = folder / f"{index}.npz"
        if not part_file.exists():
            _save(part_file, _measure_painter(works, held_back[index], statistics, seed=index))
        parts.append(_load(part_file))
        on_progress((index + 1) / len(files))
    return parts


def _choose_works(dataset: Dataset) -> list[list[Path]]:
    """Return the files of each painter that are looked at."""
    chosen = []
    for index in range(len(dataset.artists)):
        files = [painting.path for painting in dataset.paintings if painting.artist == index]
        indexes = np.linspace(0, len(files) - 1, min(MAX_WORKS, len(files))).round().astype(int)
        chosen.append([files[number] for number in indexes])
    return chosen


def _choose_held_back(painters: Sequence[str], files: Sequence[Sequence[Path]]) -> list[NDArray[np.bool_]]:
    """Return for each painter which of the works are held back; near-duplicates stay together."""
    hashes, owners = [], []
    for painter, works in zip(painters, files, strict=True):
        for path in works:
            hashes.append(compute_perceptual_hash(open_picture(path)))
            owners.append(painter)
    is_held_back = np.array(split(owners, group_near_duplicates(hashes).tolist(), SPLIT_SEED)) != "train"
    return np.split(is_held_back, np.cumsum([len(works) for works in files])[:-1])


def _measure_painter(
    files: Sequence[Path], is_held_back: NDArray[np.bool_], statistics: LayerStatistics, seed: int
) -> Arrays:
    """Measure a painter's works. Their styles are (3, works, features): clean, noisy, and blurred.

    Works that are held back are blurred by JUDGED_BLUR, the others as BLUR_RANGE says.
    """
    rng = np.random.default_rng(seed)
    copies: list[list[list[Moments]]] = [[], [], []]
    colors, fine_colors = [], []
    for start in range(0, len(files), BATCH_SIZE):
        works = [scale_to_view(np.asarray(open_picture(path))) for path in files[start : start + BATCH_SIZE]]
        for work in works:
            colors.append(_sample_colors(work, PICTURE_COLORS, rng))
            fine_colors.append(measure_fine_color(work))
        radii = [
            JUDGED_BLUR if is_held else _draw_log_uniform(rng, *BLUR_RANGE)
            for is_held in is_held_back[start:][: len(works)]
        ]
        copies[0] += _measure_batches(statistics, works)
        copies[1] += _measure_batches(statistics, [_add_noise(work, rng) for work in works])
        copies[2] += _measure_batches(statistics, [_blur(*pair) for pair in zip(works, radii, strict=True)])
    clean, *changed = (join_moments(batches) for batches in copies)
    styles = np.stack([describe_style(moments) for moments in (clean, *changed)])
    learnt_colors = [work[:WORK_COLORS] for work, is_held in zip(colors, is_held_back, strict=True) if not is_held]
    held_palettes = [describe_palette(work) for work, is_held in zip(colors, is_held_back, strict=True) if is_held]
    return {
        "styles": styles[:, ~is_held_back].astype(np.float16),
        "held_styles": styles[:, is_held_back].astype(np.float16),
        "palette": describe_palette(np.concatenate(learnt_colors)),
        "held_palettes": np.array(held_palettes).reshape(-1, *dream_metrics.PALETTE_SHAPE),
        "held_fine_colors": np.array(fine_colors)[is_held_back],
        **{
            f"mean_gram_{layer}": moments.grams[~is_held_back].mean(axis=0)
            for layer, moments in zip(STATISTICS_LAYERS, clean, strict=True)
        },
        **{
            f"held_grams_{layer}": moments.grams[is_held_back]
            for layer, moments in zip(STATISTICS_LAYERS, clean, strict=True)
        },
    }


def _measure_batches(statistics: LayerStatistics, pictures: Sequence[NDArray[Any]]) -> list[list[Moments]]:
    """Measure pictures that may differ in size, those of one size together, in their order."""
    if len({picture.shape for picture in pictures}) == 1:
        return [statistics.measure(np.stack(pictures).astype(np.float32))]
    return [statistics.measure(picture[None].astype(np.float32)) for picture in pictures]


def _sample_colors(pixels: Pixels, count: int, rng: np.random.Generator) -> Floats:
    """Return the Lab colours of some pixels, drawn with replacement: (count, 3)."""
    colors = pixels.reshape(-1, 3)
    return convert_to_lab(colors[rng.integers(len(colors), size=count)])


def _add_noise(work: Pixels, rng: np.random.Generator) -> Floats:
    deviation = _draw_log_uniform(rng, *NOISE_RANGE)
    return np.clip(work + rng.normal(0, deviation, work.shape), 0, 255).astype(np.float32)


def _blur(work: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(work).filter(ImageFilter.GaussianBlur(radius)))


def _draw_log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _as_floats(values: Iterable[float]) -> Floats:
    return np.fromiter(values, np.float32)


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _save(path: Path, arrays: Arrays) -> None:
    """Write arrays into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_file = path.with_suffix(".part")
    with temporary_file.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    temporary_file.replace(path)
