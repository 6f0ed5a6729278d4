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
from worker.backend import is_out_of_memory
from worker.dreamer import DreamResult, Frame, Pixels
from worker.dreaming.canvas_fit import CanvasFit
from worker.dreaming.gradient import ObjectiveGradient
from worker.dreaming.objectives import build_objective, build_runtime_inputs, extract_static_terms
from worker.dreaming.octaves import AscentState, Octave, ascend, list_octaves
from worker.dreaming.optimizers import Adam, GradientAscent, Optimizer
from worker.dreaming.parameterization import PARAMETERIZATIONS
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.embedding_map import EmbeddingMap
from worker.networks.network import Network

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]

#: A frame is shown at the end of each octave, and in between whenever this share of the work has been done since.
FRAME_INTERVAL_FRACTION = 0.08

#: Classes that a sidecar tells of besides those that the recipe asked for.
TOP_CLASS_COUNT = 5


class _CompiledAscent(NamedTuple):
    """What is compiled once for all dreams of an objective."""

    network: Network
    objective_gradient: ObjectiveGradient
    optimizer: Optimizer


class Engine:
    """Dreams photos. What it has compiled, it keeps: the second photo of a recipe compiles nothing."""

    def __init__(self, networks: Networks, reference_images: ReferenceImages) -> None:
        self._networks = networks
        self._reference_images = reference_images
        self._objective_gradients: dict[str, tuple[Network, ObjectiveGradient]] = {}
        self._optimizers: dict[tuple[str, str], Optimizer] = {}
        self._warmed_up: set[str] = set()

    @classmethod
    def from_settings(cls, settings: Settings, store: Store | None) -> Self:
        """Make the engine of an installation; without a store it has what came with the project only."""
        return cls(Networks(settings.weights, store, settings.precision), ReferenceImages(store))

    def dream(
        self, photo: Pixels, recipe: Recipe, *, seed: int, on_frame: Callable[[Frame], None] | None = None
    ) -> DreamResult:
        """Dream a photo.

        photo: (height, width, 3) sRGB, of any size and aspect. seed: 0 or more; with the same photo, recipe, seed and
        processor the pixels are the same. on_frame: is handed each frame as soon as it exists; what it raises ends the
        dream. The dream's long side is the recipe's canvas, or, where that does not fit into memory, the next smaller
        one. Raises ArtDreamError for a network, layer, channel, class or artwork that does not exist, where the ascent
        leaves the numbers that can be shown, and where the smaller canvas does not fit either.
        """
        watchers = [on_frame] if on_frame else []
        try:
            return self._dream_photos([photo], recipe, [seed], watchers)[0]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        smaller = max((side for side in LONG_SIDES if side < recipe.canvas), default=recipe.canvas)
        logger.warning(
            "recipe “%s” does not fit into memory at %d px: %d px are tried", recipe.name, recipe.canvas, smaller
        )
        try:
            return self._dream_photos([photo], recipe.model_copy(update={"canvas": smaller}), [seed], watchers)[0]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ArtDreamError(
                f"A dream of recipe “{recipe.name}” fits into memory neither at {recipe.canvas} nor at {smaller} px: "
                "give it a smaller canvas, or the worker more memory."
            ) from error

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
    ) -> list[DreamResult]:
        """Dream photos of one size on the canvas in one ascent: of each what `dream` makes of it, up to rounding.

        On an accelerator that is faster than one by one. on_frame: is handed each frame with the number of its photo.
        Raises what `dream` raises, without trying a smaller canvas, and ValueError where the photos differ in size on
        the canvas.
        """
        # A slope has one artwork for all, and seeds draw different ones.
        alone = any("/" not in name for name in self._compile_ascent(recipe).objective_gradient.reference_names)
        groups = [[index] for index in range(len(photos))] if alone else [list(range(len(photos)))]
        dreams: list[DreamResult] = []
        for group in groups:
            watchers = [partial(on_frame, index) for index in group] if on_frame else []
            dreams += self._dream_photos([photos[i] for i in group], recipe, [seeds[i] for i in group], watchers)
        return dreams

    def warm_up(self, recipe: Recipe) -> None:
        """Load the network of a recipe, and trace and tune its ascent for all its canvases.

        After that no dream of the recipe compiles anything.
        """
        short = recipe.model_copy(update={"ascent": recipe.ascent.model_copy(update={"steps": 1})})
        key = json.dumps([self._make_compilation_key(short), short.canvas, short.ascent.model_dump()])
        if key in self._warmed_up:  # another painter of the same network
            return
        for canvas in list_canvases(recipe.canvas):
            self.dream(np.full((canvas.height, canvas.width, 3), 128, np.uint8), short, seed=0)
        self._warmed_up.add(key)
        try:
            self._networks.store_bundled_maps()
        except StoreError as error:  # the display does without
            logger.warning("The art map was not put into the store: %s", error)

    def _dream_photos(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        seeds: Sequence[int],
        frame_callbacks: Sequence[Callable[[Frame], None]],
    ) -> list[DreamResult]:
        """Dream photos in one ascent. watchers: what is handed the frames, of each photo, or nothing."""
        for photo in photos:
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
                raise ValueError(f"A photo is (height, width, 3) of uint8, not {photo.shape} of {photo.dtype}.")
        climb = self._compile_ascent(recipe)
        artworks = {
            name: self._reference_images.load_artwork(name, seeds[0])
            for name in climb.objective_gradient.reference_names
        }
        mounting = CanvasFit(photos, recipe, self._reference_images)
        canvas = Octave(mounting.canvas.height, mounting.canvas.width)
        last: deque[AscentState] = deque(maxlen=1)
        numbers, shown = itertools.count(), 0.0

        def composite(state: AscentState) -> list[Pixels]:
            pixels = mounting.composite(state)
            if pixels is None or not np.isfinite(state.values).all():
                raise ArtDreamError(
                    f"The dream of recipe “{recipe.name}” ran away at {state.fraction:.0%}: its numbers are no longer "
                    "finite. Lower the weights of its objective."
                )
            return pixels

        def emit_frame(fraction: float, pictures: Sequence[Pixels]) -> None:
            number = next(numbers)
            for watcher, pixels in zip(frame_callbacks, pictures, strict=False):
                watcher(Frame(number, fraction, pixels))

        def on_step(state: AscentState) -> None:
            nonlocal shown
            last.append(state)
            due = state.ends_octave or state.fraction - shown >= FRAME_INTERVAL_FRACTION
            if frame_callbacks and due and state.fraction < 1:
                emit_frame(state.fraction, composite(state))
                shown = state.fraction

        ascend(
            climb.objective_gradient,
            climb.optimizer,
            PARAMETERIZATIONS[recipe.start],
            mounting,
            list_octaves(canvas.height, canvas.width, recipe.ascent, climb.network.min_side)
            if recipe.start == "photo"
            else [canvas],
            recipe.ascent,
            artworks={name: artwork.pixels for name, artwork in artworks.items()},
            runtime_inputs=build_runtime_inputs(recipe.objective, climb.network),
            seeds=seeds,
            on_step=on_step,
        )
        pixels = composite(last[0]) if last else mounting.photos
        emit_frame(1.0, pixels)
        drawn = tuple(artwork.name for artwork in artworks.values())
        atlas = self._networks.embedding_map(recipe.network)
        return [
            _build_result(climb.network, recipe, photo, dream, drawn, atlas)
            for photo, dream in zip(photos, pixels, strict=True)
        ]

    def _compile_ascent(self, recipe: Recipe) -> _CompiledAscent:
        """Return what is compiled for a recipe: the same for all that differ in nothing that is compiled."""
        key = self._make_compilation_key(recipe)
        if key not in self._objective_gradients:
            network = self._load_network(recipe)
            objective = build_objective(recipe.objective, network)
            self._objective_gradients[key] = (
                network,
                ObjectiveGradient(
                    network,
                    objective,
                    levels=_get_laplacian_levels(recipe),
                    parameterization=PARAMETERIZATIONS[recipe.start],
                ),
            )
        network, slope = self._objective_gradients[key]
        return _CompiledAscent(network, slope, self._get_optimizer(recipe))

    def _make_compilation_key(self, recipe: Recipe) -> str:
        """Name what is compiled for a recipe."""
        return json.dumps(
            [recipe.network, extract_static_terms(recipe.objective), _get_laplacian_levels(recipe), recipe.start]
        )

    def _load_network(self, recipe: Recipe) -> Network:
        try:
            return self._networks.load(recipe.network)
        except ArtDreamError as error:
            if recipe.stand_in is None:
                raise
            raise ArtDreamError(f"{error} Meanwhile “{recipe.stand_in}” stands in for “{recipe.name}”.") from error

    def _get_optimizer(self, recipe: Recipe) -> Optimizer:
        key = recipe.ascent.optimiser, recipe.start
        if key not in self._optimizers:
            adam = recipe.ascent.optimiser == "adam"
            self._optimizers[key] = Adam(bounded=recipe.start == "photo") if adam else GradientAscent()
        return self._optimizers[key]


def _get_laplacian_levels(recipe: Recipe) -> int | None:
    return recipe.ascent.levels if recipe.ascent.optimiser == "gradient" else None


def _build_result(
    network: Network,
    recipe: Recipe,
    photo: Pixels,
    dream: Pixels,
    artworks: tuple[str, ...],
    embedding_map: EmbeddingMap | None,
) -> DreamResult:
    """Tell what is known of a dream: what the network makes of it, where it can tell classes apart."""
    wanted = [
        network.class_index(name) for term in recipe.objective if isinstance(term, Classes) for name in term.classes
    ]
    verdicts: tuple[ClassProbability, ...] = ()
    place = None
    if wanted or embedding_map:
        seen = network.predict([photo, dream])
        if wanted:
            verdicts = _list_class_probabilities(network, wanted, *seen.probabilities)
        if embedding_map:
            before, after = embedding_map.locate(seen.features).tolist()
            place = MapPoint(network=recipe.network, photo=before, dream=after)
    return DreamResult(dream, network.digest, network.precision, artworks, verdicts, place)


def _list_class_probabilities(
    network: Network, requested: list[int], photo_probabilities: FloatArray, dream_probabilities: FloatArray
) -> tuple[ClassProbability, ...]:
    """Tell of the classes that a recipe asks for, then of those that the network sees most in the dream."""
    order = dict.fromkeys([*requested, *np.argsort(-dream_probabilities)[:TOP_CLASS_COUNT].tolist()])
    return tuple(
        ClassProbability(
            name=network.classes[index],
            photo=float(photo_probabilities[index]),
            dream=float(dream_probabilities[index]),
        )
        for index in order
    )
