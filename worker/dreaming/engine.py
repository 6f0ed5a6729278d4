"""The one door of the engine: from photos and a recipe to dreams."""

import itertools
import json
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.art_map import MapPoint
from shared.errors import ArtDreamError
from shared.jobs.events import ClassProbability
from shared.recipe.canvas import LONG_SIDES, list_canvases
from shared.recipe.objective import Classes
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from worker.backend import ran_out
from worker.dreamer import Dreamt, Frame, Pixels
from worker.dreaming.canvas_fit import Mounting
from worker.dreaming.gradient import Slope
from worker.dreaming.objectives import givens_of, objective_of, shape_of
from worker.dreaming.octaves import Moment, Octave, ascend, octaves
from worker.dreaming.optimizers import Adam, Gradient, Optimiser
from worker.dreaming.parameterization import MEDIA
from worker.dreaming.reference_images import References
from worker.networks import Networks
from worker.networks.embedding_map import Atlas
from worker.networks.network import Network

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]

#: A frame is shown at the end of each octave, and in between whenever this share of the work has been done since.
FRAME_EVERY = 0.08

#: Classes that a sidecar tells of besides those that the recipe asked for.
VERDICTS = 5


class _Climb(NamedTuple):
    """What is compiled once for all dreams of an objective."""

    network: Network
    slope: Slope
    optimiser: Optimiser


class Engine:
    """Dreams photos. What it has compiled, it keeps: the second photo of a recipe compiles nothing."""

    def __init__(self, networks: Networks, references: References) -> None:
        self._networks = networks
        self._references = references
        self._slopes: dict[str, tuple[Network, Slope]] = {}
        self._optimisers: dict[tuple[str, str], Optimiser] = {}
        self._warm: set[str] = set()

    @classmethod
    def of(cls, settings: Settings, store: Store | None) -> Self:
        """Make the engine of an installation; without a store it has what came with the project only."""
        return cls(Networks(settings.weights, store, settings.precision), References(store))

    def dream(
        self, photo: Pixels, recipe: Recipe, *, seed: int, on_frame: Callable[[Frame], None] | None = None
    ) -> Dreamt:
        """Dream a photo.

        photo: (height, width, 3) sRGB, of any size and aspect. seed: 0 or more; with the same photo, recipe, seed and
        processor the pixels are the same. on_frame: is handed each frame as soon as it exists; what it raises ends the
        dream. The dream's long side is the recipe's canvas, or, where that does not fit into memory, the next smaller
        one. Raises ArtDreamError for a network, layer, channel, class or artwork that does not exist, where the ascent
        leaves the numbers that can be shown, and where the smaller canvas does not fit either.
        """
        watchers = [on_frame] if on_frame else []
        try:
            return self._dream([photo], recipe, [seed], watchers)[0]
        except Exception as error:
            if not ran_out(error):
                raise
        smaller = max((side for side in LONG_SIDES if side < recipe.canvas), default=recipe.canvas)
        log.warning(
            "recipe “%s” does not fit into memory at %d px: %d px are tried", recipe.name, recipe.canvas, smaller
        )
        try:
            return self._dream([photo], recipe.model_copy(update={"canvas": smaller}), [seed], watchers)[0]
        except Exception as error:
            if not ran_out(error):
                raise
            raise ArtDreamError(
                f"A dream of recipe “{recipe.name}” fits into memory neither at {recipe.canvas} nor at {smaller} px: "
                "give it a smaller canvas, or the worker more memory."
            ) from error

    def dream_together(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
    ) -> list[Dreamt]:
        """Dream photos of one size on the canvas in one ascent: of each what `dream` makes of it, up to rounding.

        On an accelerator that is faster than one by one. on_frame: is handed each frame with the number of its photo.
        Raises what `dream` raises, without trying a smaller canvas, and ValueError where the photos differ in size on
        the canvas.
        """
        # A slope has one artwork for all, and seeds draw different ones.
        alone = any("/" not in name for name in self._climb(recipe).slope.references)
        groups = [[index] for index in range(len(photos))] if alone else [list(range(len(photos)))]
        dreams: list[Dreamt] = []
        for group in groups:
            watchers = [partial(on_frame, index) for index in group] if on_frame else []
            dreams += self._dream([photos[i] for i in group], recipe, [seeds[i] for i in group], watchers)
        return dreams

    def warm(self, recipe: Recipe) -> None:
        """Load the network of a recipe, and trace and tune its ascent for all its canvases.

        After that no dream of the recipe compiles anything.
        """
        short = recipe.model_copy(update={"ascent": recipe.ascent.model_copy(update={"steps": 1})})
        key = json.dumps([self._key(short), short.canvas, short.ascent.model_dump()])
        if key in self._warm:  # another painter of the same network
            return
        for canvas in list_canvases(recipe.canvas):
            self.dream(np.full((canvas.height, canvas.width, 3), 128, np.uint8), short, seed=0)
        self._warm.add(key)
        try:
            self._networks.offer_maps()
        except StoreError as error:  # the display does without
            log.warning("The art map was not put into the store: %s", error)

    def _dream(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        seeds: Sequence[int],
        watchers: Sequence[Callable[[Frame], None]],
    ) -> list[Dreamt]:
        """Dream photos in one ascent. watchers: what is handed the frames, of each photo, or nothing."""
        for photo in photos:
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
                raise ValueError(f"A photo is (height, width, 3) of uint8, not {photo.shape} of {photo.dtype}.")
        climb = self._climb(recipe)
        artworks = {name: self._references.draw(name, seeds[0]) for name in climb.slope.references}
        mounting = Mounting(photos, recipe, self._references)
        canvas = Octave(mounting.canvas.height, mounting.canvas.width)
        last: deque[Moment] = deque(maxlen=1)
        numbers, shown = itertools.count(), 0.0

        def developed(moment: Moment) -> list[Pixels]:
            pixels = mounting.developed(moment)
            if pixels is None or not np.isfinite(moment.values).all():
                raise ArtDreamError(
                    f"The dream of recipe “{recipe.name}” ran away at {moment.fraction:.0%}: its numbers are no longer "
                    "finite. Lower the weights of its objective."
                )
            return pixels

        def show(fraction: float, pictures: Sequence[Pixels]) -> None:
            number = next(numbers)
            for watcher, pixels in zip(watchers, pictures, strict=False):
                watcher(Frame(number, fraction, pixels))

        def watch(moment: Moment) -> None:
            nonlocal shown
            last.append(moment)
            due = moment.ends_octave or moment.fraction - shown >= FRAME_EVERY
            if watchers and due and moment.fraction < 1:
                show(moment.fraction, developed(moment))
                shown = moment.fraction

        ascend(
            climb.slope,
            climb.optimiser,
            MEDIA[recipe.start],
            mounting,
            octaves(canvas.height, canvas.width, recipe.ascent, climb.network.smallest)
            if recipe.start == "photo"
            else [canvas],
            recipe.ascent,
            artworks={name: artwork.pixels for name, artwork in artworks.items()},
            givens=givens_of(recipe.objective, climb.network),
            seeds=seeds,
            watch=watch,
        )
        pixels = developed(last[0]) if last else mounting.photos
        show(1.0, pixels)
        drawn = tuple(artwork.name for artwork in artworks.values())
        atlas = self._networks.atlas(recipe.network)
        return [
            _dreamt(climb.network, recipe, photo, dream, drawn, atlas)
            for photo, dream in zip(photos, pixels, strict=True)
        ]

    def _climb(self, recipe: Recipe) -> _Climb:
        """Return what is compiled for a recipe: the same for all that differ in nothing that is compiled."""
        key = self._key(recipe)
        if key not in self._slopes:
            network = self._network(recipe)
            objective = objective_of(recipe.objective, network)
            self._slopes[key] = network, Slope(network, objective, levels=_levels(recipe), medium=MEDIA[recipe.start])
        network, slope = self._slopes[key]
        return _Climb(network, slope, self._optimiser(recipe))

    def _key(self, recipe: Recipe) -> str:
        """Name what is compiled for a recipe."""
        return json.dumps([recipe.network, shape_of(recipe.objective), _levels(recipe), recipe.start])

    def _network(self, recipe: Recipe) -> Network:
        try:
            return self._networks.load(recipe.network)
        except ArtDreamError as error:
            if recipe.stand_in is None:
                raise
            raise ArtDreamError(f"{error} Meanwhile “{recipe.stand_in}” stands in for “{recipe.name}”.") from error

    def _optimiser(self, recipe: Recipe) -> Optimiser:
        key = recipe.ascent.optimiser, recipe.start
        if key not in self._optimisers:
            adam = recipe.ascent.optimiser == "adam"
            self._optimisers[key] = Adam(bounded=recipe.start == "photo") if adam else Gradient()
        return self._optimisers[key]


def _levels(recipe: Recipe) -> int | None:
    return recipe.ascent.levels if recipe.ascent.optimiser == "gradient" else None


def _dreamt(
    network: Network, recipe: Recipe, photo: Pixels, dream: Pixels, artworks: tuple[str, ...], atlas: Atlas | None
) -> Dreamt:
    """Tell what is known of a dream: what the network makes of it, where it can tell classes apart."""
    wanted = [
        network.class_index(name) for term in recipe.objective if isinstance(term, Classes) for name in term.classes
    ]
    verdicts: tuple[ClassProbability, ...] = ()
    place = None
    if wanted or atlas:
        seen = network.look([photo, dream])
        if wanted:
            verdicts = _verdicts(network, wanted, *seen.probabilities)
        if atlas:
            before, after = atlas.place(seen.features).tolist()
            place = MapPoint(network=recipe.network, photo=before, dream=after)
    return Dreamt(dream, network.digest, network.precision, artworks, verdicts, place)


def _verdicts(network: Network, wanted: list[int], before: Floats, after: Floats) -> tuple[ClassProbability, ...]:
    """Tell of the classes that a recipe asks for, then of those that the network sees most in the dream."""
    order = dict.fromkeys([*wanted, *np.argsort(-after)[:VERDICTS].tolist()])
    return tuple(
        ClassProbability(name=network.classes[index], photo=float(before[index]), dream=float(after[index]))
        for index in order
    )
