"""The report of `make bench-artists`: figures beside their goals, and a contact sheet."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean, median
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.console import Console

from artdream.cli.contact_sheet import BACKGROUND_COLOR, CELL_WIDTH, Cell, draw_contact_sheet
from benchmarks.dream_comparison import DreamFigures, PaintingComparison
from benchmarks.dream_metrics import MAX_CHANGE_FREQUENCY, MAX_COLOR_FREQUENCY, Interval, bootstrap_mean
from benchmarks.layer_statistics import STATISTICS_NETWORK, VIEW_SIDE
from benchmarks.painter_works import JUDGED_BLUR
from benchmarks.report import percentile, publish
from worker.dreamer import Pixels

#: Goals of the dreams of all painters on the default canvas; seconds are those of two cores with AVX-512 or AMX.
MIN_FIRST, MIN_AMONG_FIVE, MIN_OWN_PALETTE = 0.6, 0.85, 0.8
MAX_FINE_CHANGE, MAX_FINE_COLOR, MAX_TEXTURE_RANK = 0.03, 0.01, 5
MAX_SECONDS, MAX_FIRST_FRAME_SECONDS = 3.0, 0.2

#: Share of the other painters from whose works the palette of a dream must be farther: 40 of 49.
MIN_FARTHER_SHARE = 40 / 49

#: Width ÷ height of the cells of the contact sheet; pictures of other shapes are padded.
CELL_ASPECT = 4 / 3


class Row(NamedTuple):
    """A row of the table: a figure of the dreams, of their photos, and of paintings that were held back."""

    figure: str
    dreams: str
    photos: str = ""
    paintings: str = ""
    goal: str = ""
    is_reached: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        verdict = "" if self.is_reached is None else "reached" if self.is_reached else "missed"
        return (*self[:5], verdict)


class Naming(NamedTuple):
    """How often a painter is named first, and among the first five, with intervals over photos."""

    first: Interval
    among_five: Interval

    @classmethod
    def from_ranks(cls, ranks: Iterable[Sequence[int]]) -> Self:
        """Count the ranks of painters; those of each photo are in a sequence of their own."""
        ranks = list(ranks)
        return cls(*(bootstrap_mean([[float(rank <= limit) for rank in photo] for photo in ranks]) for limit in (1, 5)))

    def describe(self, *, with_interval: bool = False) -> str:
        """Return both shares, as 12 % [8, 17] / 40 % [31, 52] with the intervals."""
        texts = []
        for interval in self:
            limits = f" [{100 * interval.low:.0f}, {100 * interval.high:.0f}]" if with_interval else ""
            texts.append(f"{_percent(interval.mean)}{limits}")
        return " / ".join(texts)


def publish_painters(
    figures: Sequence[DreamFigures], comparison: PaintingComparison, networks: Mapping[str, str], load: float
) -> None:
    """Publish the figures of dreams in the manner of painters.

    networks: name → digest of those that the recipes dream through. load: of the machine, before the run.
    """
    notes = list_notes(comparison, networks)
    facts = {
        "photos": len({dream.photo for dream in figures}),
        "painters": len({dream.painter for dream in figures}),
        "networks": dict(networks),
        "critic": comparison.critic.name if comparison.critic else None,
        "load": load,
        "notes": notes,
        "by painter": summarize_by_painter(figures),
        "dreams": [asdict(dream) for dream in figures],
    }
    rows = summarize_painters(figures, comparison)
    facts["figures"] = [row._asdict() for row in rows]
    columns = ("figure", "dreams", "photos", "paintings held back", "goal", "")
    publish("artists", columns, [row.cells for row in rows], facts)
    for note in notes:
        Console().print(note, soft_wrap=True, markup=False, highlight=False)


def summarize_painters(figures: Sequence[DreamFigures], comparison: PaintingComparison) -> list[Row]:
    """Return the rows of the table."""
    works = comparison.works
    painter_count = len(works.painters)
    farther_count = round(MIN_FARTHER_SHARE * (painter_count - 1))

    def is_own_palette(rank: int) -> bool:
        return rank <= painter_count - farther_count

    def median_rank(name: str) -> Row:
        dreams = median(dream.ranks[name] for dream in figures)
        photos = median(dream.photo_ranks[name] for dream in figures)
        return Row("", f"{dreams:g}", f"{photos:g}", f"{np.median(works.held_back[name]):g}")

    own_palettes = [is_own_palette(dream.ranks["palette"]) for dream in figures]
    photos_own_palettes = [is_own_palette(dream.photo_ranks["palette"]) for dream in figures]
    both = fmean(dream.has_nearer_palette and own for dream, own in zip(figures, own_palettes, strict=True))
    texture = median_rank("texture")
    farther = f"than to {farther_count} of {painter_count - 1} others"
    return [
        *_list_namings(figures, comparison),
        *_list_spectra(figures, works.held_back["fine_color"].tolist()),
        Row(
            f"Lab palette nearer to the painter’s than the photo’s is, and {farther}",
            _percent(both),
            goal=f"≥ {_percent(MIN_OWN_PALETTE)}",
            is_reached=both >= MIN_OWN_PALETTE,
        ),
        Row("  nearer than the photo’s", _percent(fmean(dream.has_nearer_palette for dream in figures))),
        Row(
            f"  nearer {farther}",
            _percent(fmean(own_palettes)),
            _percent(fmean(photos_own_palettes)),
            _percent(fmean(map(is_own_palette, works.held_back["palette"]))),
        ),
        texture._replace(
            figure=f"rank of the painter by Gram matrices of {STATISTICS_NETWORK}, median of {painter_count}",
            goal=f"≤ {MAX_TEXTURE_RANK}",
            is_reached=float(texture.dreams) <= MAX_TEXTURE_RANK,
        ),
        median_rank("own_texture")._replace(figure="  relative to each painter’s own, not to the mean"),
        *_list_times(figures),
    ]


def summarize_by_painter(figures: Sequence[DreamFigures]) -> dict[str, dict[str, float]]:
    """Return for each painter the medians of the ranks by each measure."""
    by_painter = _group(figures, lambda dream: str(dream.painter))
    return {
        painter: {name: float(median(dream.ranks[name] for dream in dreams)) for name in dreams[0].ranks}
        for painter, dreams in by_painter.items()
    }


def list_notes(comparison: PaintingComparison, networks: Iterable[str]) -> list[str]:
    """Return what a reader of the table must know. networks: names of those that the recipes dream through."""
    works = comparison.works
    held_back = works.held_back
    shares = (fmean(ranks <= limit) for ranks, limit in ((held_back["judge"], 1), (held_back["noisy_judge"], 1)))
    clean, noisy = map(_percent, shares)
    notes = [
        f"The judge was fitted on statistics of {STATISTICS_NETWORK}. Of {len(held_back['judge'])} paintings that were "
        f"held back it names {clean} right, of noisy copies of them {noisy}. It shares the ancestry of artist networks "
        f"that were trained from {STATISTICS_NETWORK}, and is fooled together with them: where it names dreams but not "
        f"their copies blurred by {JUDGED_BLUR:g} px of {VIEW_SIDE}, noise convinced it and not a hand.",
        f"Paintings are looked at with a short side of {VIEW_SIDE} px, where a pixel is more of them than of a dream.",
        "Intervals: 95 %, bootstrap over photos.",
    ]
    if STATISTICS_NETWORK in set(networks):
        notes.append(f"Recipes dream through {STATISTICS_NETWORK} itself: judge and Gram matrices are not independent.")
    return notes


def publish_recipes(figures: Sequence[DreamFigures], load: float) -> None:
    """Publish the spectra of the dreams of any recipes, recipe by recipe. load: of the machine, before the run."""
    rows = []
    for recipe, dreams in _group(figures, lambda dream: dream.recipe).items():
        changes = [dream.change for dream in dreams if dream.change is not None]
        change_cells = [f"{median(shares):.3f}" for shares in zip(*changes, strict=True)] or [""] * 3
        rows.append(
            (
                recipe,
                *change_cells,
                _percent(median(dream.fine_color for dream in dreams), 1),
                _percent(median(dream.photo_fine_color for dream in dreams), 1),
                f"{median(dream.seconds for dream in dreams):.1f}",
                f"{median(dream.first_frame_seconds for dream in dreams):.2f}",
            )
        )
    columns = (
        *("recipe", f"change above {MAX_CHANGE_FREQUENCY:g} cycles/px", "of luma", "of chroma"),
        *(f"colour above {MAX_COLOR_FREQUENCY:g} cycles/px", "of the photos", "seconds", "first frame"),
    )
    publish("artists-recipes", columns, rows, {"load": load, "dreams": [asdict(dream) for dream in figures]})


def draw_sheet(rows: Sequence[Sequence[Cell]]) -> NDArray[np.uint8]:
    """Draw a contact sheet with a row of cells for each photo; whole pictures, whatever their shapes."""
    cells = [cell._replace(pixels=_pad(cell.pixels)) for cell in itertools.chain.from_iterable(rows)]
    return draw_contact_sheet(cells, columns=len(rows[0]))


def _list_namings(figures: Sequence[DreamFigures], comparison: PaintingComparison) -> list[Row]:
    """Return the rows of critic and judge.

    The goals are the critic's; without one they are those of the judge's look at blurred copies, for what it says of
    clean ones proves little: noise that was made with a network of the same ancestry convinces it.
    """
    by_photo = _group(figures, lambda dream: dream.photo).values()
    judges = {
        "judge": "the judge names the painter",
        "blurred_judge": "the judge names the painter of a blurred copy",
    }
    if comparison.critic:
        judges = {"critic": f"{comparison.critic.name} names the painter", **judges}
    rows = []
    for name, figure in judges.items():
        dreams = Naming.from_ranks([[dream.ranks[name] for dream in photo] for photo in by_photo])
        photos = Naming.from_ranks([[dream.photo_ranks[name] for dream in photo] for photo in by_photo])
        works = comparison.works.held_back.get(name)
        row = Row(
            f"{figure}, first / among five",
            dreams.describe(with_interval=True),
            photos.describe(),
            "" if works is None else Naming.from_ranks([works.tolist()]).describe(),
        )
        if name == ("critic" if comparison.critic else "blurred_judge"):
            row = row._replace(
                goal=f"≥ {_percent(MIN_FIRST)} / ≥ {_percent(MIN_AMONG_FIVE)}",
                is_reached=dreams.first.mean >= MIN_FIRST and dreams.among_five.mean >= MIN_AMONG_FIVE,
            )
        rows.append(row)
    return rows


def _list_spectra(figures: Sequence[DreamFigures], painting_shares: Sequence[float]) -> list[Row]:
    changes = [dream.change for dream in figures if dream.change is not None]
    total, luma, chroma = (median(shares) for shares in zip(*changes, strict=True)) if changes else [float("nan")] * 3
    color = median(dream.fine_color for dream in figures)
    return [
        Row(
            f"share of the change’s energy above {MAX_CHANGE_FREQUENCY:g} cycles/px, median",
            f"{total:.3f}",
            goal=f"≤ {MAX_FINE_CHANGE:g}",
            is_reached=total <= MAX_FINE_CHANGE,
        ),
        Row("  of its luma / of its chroma", f"{luma:.3f} / {chroma:.3f}"),
        Row(
            f"share of the colour energy above {MAX_COLOR_FREQUENCY:g} cycles/px, median",
            _percent(color, 1),
            _percent(median(dream.photo_fine_color for dream in figures), 1),
            _percent(median(painting_shares), 1),
            f"≤ {_percent(MAX_FINE_COLOR)}",
            color <= MAX_FINE_COLOR,
        ),
    ]


def _list_times(figures: Sequence[DreamFigures]) -> list[Row]:
    rows = []
    for figure, times, goal in (
        ("seconds of a dream, median (p95)", [dream.seconds for dream in figures], MAX_SECONDS),
        ("seconds to its first frame", [dream.first_frame_seconds for dream in figures], MAX_FIRST_FRAME_SECONDS),
    ):
        text = f"{median(times):.2f} ({percentile(times, 0.95):.2f})"
        rows.append(Row(figure, text, goal=f"≤ {goal:g}", is_reached=median(times) <= goal))
    return rows


def _pad(pixels: Pixels | None) -> Pixels | None:
    if pixels is None:
        return None
    size = CELL_WIDTH, round(CELL_WIDTH / CELL_ASPECT)
    return np.asarray(ImageOps.pad(Image.fromarray(pixels), size, Image.Resampling.LANCZOS, BACKGROUND_COLOR))


def _group(figures: Sequence[DreamFigures], key: Callable[[DreamFigures], str]) -> dict[str, list[DreamFigures]]:
    """Return figures by a key, in the order of its first occurrences."""
    groups: dict[str, list[DreamFigures]] = defaultdict(list)
    for dream in figures:
        groups[key(dream)].append(dream)
    return groups


def _percent(share: float, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"
