"""Compare a dream with its photo, and with the works of the painter it is named after and of all others."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.dream_metrics import (
    ChangeSpectrum,
    Floats,
    measure_change_spectrum,
    measure_fine_color,
    rank_ascending,
)
from benchmarks.kept_dreams import KeptDream
from benchmarks.layer_statistics import LayerStatistics
from benchmarks.painter_works import Distances, PainterWorks, measure_picture
from shared.recipe.recipe import Recipe
from worker.dreamer import Pixels
from worker.networks.network import Network


@dataclass(frozen=True)
class JudgedPicture:
    """What is said of a picture."""

    distances: Distances
    #: Minus the critic's probabilities, (painters,); None without a critic.
    critic: Floats | None

    def ranks(self, painter: int) -> dict[str, int]:
        """Return the rank of a painter by each measure, from 1: those of `Distances`, and `critic`."""
        critic = {} if self.critic is None else {"critic": rank_ascending(self.critic, painter)}
        return {**critic, **self.distances.ranks(painter)}


class PaintingComparison:
    """Compares pictures with the works of painters."""

    def __init__(self, works: PainterWorks, statistics: LayerStatistics, critic: Network | None) -> None:
        """critic: judges besides the works' own judge. Raises ArtDreamError if it does not know one of the painters."""
        self.works, self.critic = works, critic
        self._statistics = statistics
        self._critic_classes = [critic.class_index(painter) for painter in works.painters] if critic else []

    def judge(self, pixels: Pixels) -> JudgedPicture:
        """Judge a picture, (height, width, 3) uint8 sRGB of any size."""
        distances = self.works.compare(measure_picture(self._statistics, pixels))
        if self.critic is None:
            return JudgedPicture(distances, None)
        return JudgedPicture(distances, -self.critic.predict_probabilities(pixels)[self._critic_classes])


@dataclass(frozen=True)
class DreamFigures:
    """What was measured of a dream."""

    photo: str
    recipe: str
    #: None if the dream was compared with its photo only.
    painter: str | None
    seconds: float
    first_frame_seconds: float
    #: None for a dream that began as noise, whose photo it does not show.
    change: ChangeSpectrum | None
    #: Shares of the colour energy that are fine; the photo at the size of the dream.
    fine_color: float
    photo_fine_color: float
    #: Ranks of the painter for the dream and for the photo, by measure; see `JudgedPicture.ranks`.
    ranks: dict[str, int]
    photo_ranks: dict[str, int]
    #: Whether the dream's palette is nearer to the painter's works than the photo's.
    has_nearer_palette: bool

    @property
    def verdict(self) -> str:
        """The painter's rank by the critic, without one by the works' judge for a blurred copy, in words."""
        if "critic" in self.ranks:
            return f"the critic’s number {self.ranks['critic']}"
        return f"the judge’s number {self.ranks['blurred_judge']}" if self.ranks else ""

    def describe(self) -> str:
        """Return a line for the log."""
        change = "" if self.change is None else f"{self.change.total:.1%} of the change is fine"
        parts = (f"{self.recipe} in {self.seconds:.1f} s", change, self.verdict)
        return ", ".join(part for part in parts if part)


class DreamComparison:
    """Compares the dreams of one photo."""

    def __init__(self, name: str, photo: Pixels, paintings: PaintingComparison | None) -> None:
        """name: of the photo, in figures. photo: (height, width, 3) uint8 sRGB. paintings: to compare with as well."""
        self.photo = photo
        self._name, self._paintings = name, paintings
        self._judged_photo = paintings.judge(photo) if paintings else None

    def measure(self, recipe: Recipe, painter: str | None, dream: KeptDream) -> DreamFigures:
        """Measure a dream. Raises ArtDreamError if there are no works of the painter."""
        height, width, _ = dream.pixels.shape
        photo = np.asarray(Image.fromarray(self.photo).resize((width, height), Image.Resampling.LANCZOS))
        ranks, photo_ranks, has_nearer_palette = {}, {}, False
        if painter is not None and self._paintings and self._judged_photo:
            index = self._paintings.works.find_painter(painter)
            judged = self._paintings.judge(dream.pixels)
            ranks, photo_ranks = judged.ranks(index), self._judged_photo.ranks(index)
            has_nearer_palette = bool(judged.distances.palette[index] < self._judged_photo.distances.palette[index])
        return DreamFigures(
            photo=self._name,
            recipe=recipe.name,
            painter=painter,
            seconds=dream.seconds,
            first_frame_seconds=dream.first_frame_seconds,
            change=measure_change_spectrum(photo, dream.pixels) if recipe.start == "photo" else None,
            fine_color=measure_fine_color(dream.pixels),
            photo_fine_color=measure_fine_color(photo),
            ranks=ranks,
            photo_ranks=photo_ranks,
            has_nearer_palette=has_nearer_palette,
        )
