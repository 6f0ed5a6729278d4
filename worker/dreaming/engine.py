"""The engine: turns photos and a recipe into dreams."""

import itertools
import json
import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from shared.art_map import MapPoint
from shared.errors import ArtDreamError
from shared.jobs.events import ClassProbability
from shared.recipe.canvas import LONG_SIDES, list_canvases
from shared.recipe.objective import Classes
from shared.recipe.painters import CRITIC_NETWORK, PAINTERS
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from worker.backend import is_out_of_memory
from worker.dreamer import Change, DreamResult, Frame, Pixels
from worker.dreaming.canvas_fit import CanvasFit
from worker.dreaming.gradient import ObjectiveGradient
from worker.dreaming.objectives import (
    build_objective,
    build_runtime_inputs,
    extract_static_terms,
    find_toning,
    needs_style_statistics,
)
from worker.dreaming.octaves import VIEW_COUNT, AscentState, Octave, ascend, list_octaves
from worker.dreaming.optimizers import Adam, GradientAscent, Optimizer
from worker.dreaming.parameterization import PARAMETERIZATIONS
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.embedding_map import EmbeddingMap
from worker.networks.network import Network

logger = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]

#: Share of the work between two frames within an octave. The first step and the end of each octave have a frame in any
#: case: a guest sees at once that something happens.
FRAME_INTERVAL_FRACTION = 0.08

#: Objectives that stay compiled, the last used ones: more than an installation has recipes. Each takes about 30 MB.
MAX_COMPILED_OBJECTIVES = 24

#: Classes to report for a dream besides those that its recipe asks for.
TOP_CLASS_COUNT = 5


class _CompiledAscent(NamedTuple):
    """Parts that are compiled once for all dreams of an objective."""

    network: Network
    objective_gradient: ObjectiveGradient
    optimizer: Optimizer


class _FinishedAscent(NamedTuple):
    """What is left of a gradient ascent at its end."""

    network: Network
    #: Artworks that the objective used, as `artist/file`.
    artworks: tuple[str, ...]
    canvas_fit: CanvasFit
    #: The state after the last step; None without any step.
    state: AscentState | None


class Engine:
    """Dreams photos. It keeps what it compiles, so the second photo of a recipe compiles nothing."""

    def __init__(self, networks: Networks, reference_images: ReferenceImages) -> None:
        self._networks = networks
        self._reference_images = reference_images
        self._objective_gradients: OrderedDict[str, tuple[Network, ObjectiveGradient]] = OrderedDict()
        self._optimizers: dict[tuple[str, str], Optimizer] = {}
        self._warmed_up: set[str] = set()
        self._compiling = threading.RLock()  # a video is dreamt in a thread of its own

    @classmethod
    def from_settings(cls, settings: Settings, store: Store | None) -> Self:
        """Create the engine of an installation. Without a store, it has only the bundled networks and artworks."""
        return cls(Networks(settings.weights, store, settings.precision), ReferenceImages(store))

    def dream(
        self,
        photo: Pixels,
        recipe: Recipe,
        *,
        seed: int,
        on_frame: Callable[[Frame], None] | None = None,
        load_full_photo: Callable[[], Pixels] | None = None,
    ) -> DreamResult:
        """Dream a photo.

        photo: (height, width, 3) uint8 sRGB, of any size and aspect. seed: 0 or more; the same photo, recipe, seed and
        processor give the same pixels. on_frame: called with each frame as soon as it exists; an exception from it ends
        the dream. load_full_photo: called if the dream is larger than `photo`, when it is rendered; returns the same
        photo, as large as there is. The long side of the dream is the recipe's size; the next smaller canvas is taken
        if the recipe's does not fit into memory. Raises ArtDreamError for a network, layer, channel, class or artwork
        that does not exist, if the ascent reaches values that are not finite, and if the smaller canvas does not fit
        into memory either. Raises ValueError for a photo of another shape or dtype.
        """

        def dream_on_canvas(side: int) -> DreamResult:
            return self._dream_photos(
                [photo],
                recipe.model_copy(update={"canvas": side}),
                [seed],
                [on_frame] if on_frame else [],
                [load_full_photo] if load_full_photo else [],
            )[0]

        try:
            return dream_on_canvas(recipe.canvas)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        smaller_side = max((side for side in LONG_SIDES if side < recipe.canvas), default=recipe.canvas)
        logger.warning(
            "recipe “%s” does not fit into memory at %d px: %d px are tried", recipe.name, recipe.canvas, smaller_side
        )
        try:
            return dream_on_canvas(smaller_side)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ArtDreamError(
                f"A dream of recipe “{recipe.name}” fits into memory neither at {recipe.canvas} nor at "
                f"{smaller_side} px: give it a smaller canvas, or the worker more memory."
            ) from error

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
        load_full_photo: Callable[[int], Pixels] | None = None,
    ) -> list[DreamResult]:
        """Dream photos of one size on the canvas in one gradient ascent.

        Each result is the same as that of `dream`, up to rounding, but on an accelerator a batch is faster than its
        photos one by one. on_frame, load_full_photo: as for `dream`, called with the index of the photo, too.

        Raises what `dream` raises, without trying a smaller canvas, and ValueError if the photos differ in size on the
        canvas.
        """
        # An ascent has one artwork for the whole batch, but each seed may draw another one.
        one_by_one = any("/" not in name for name in self._compile_ascent(recipe).objective_gradient.reference_names)
        groups = [[index] for index in range(len(photos))] if one_by_one else [list(range(len(photos)))]
        dreams: list[DreamResult] = []
        for group in groups:
            frame_callbacks = [partial(on_frame, index) for index in group] if on_frame else []
            loaders = [partial(load_full_photo, index) for index in group] if load_full_photo else []
            dreams += self._dream_photos(
                [photos[i] for i in group], recipe, [seeds[i] for i in group], frame_callbacks, loaders
            )
        return dreams

    def warm_up(self, recipe: Recipe) -> None:
        """Load the network of a recipe, and trace and tune its ascent for all canvases of the recipe.

        After that, no dream of the recipe compiles anything. With JAX, `dream_batch` still does for each new number of
        photos: a batch waits better for that than a worker's first guest. Raises what `dream` raises.
        """
        step_count = VIEW_COUNT if recipe.ascent.view_scale < 1 else 1
        short_recipe = recipe.model_copy(update={"ascent": recipe.ascent.model_copy(update={"steps": step_count})})
        compiled_fields = short_recipe.model_dump(mode="json", include={"canvas", "size", "ascent", "mask", "brush"})
        key = json.dumps([self._make_compilation_key(short_recipe), compiled_fields])
        if key in self._warmed_up:  # by a recipe that differs in classes or artists, whose names are still to be found
            self._build_runtime_inputs(recipe, self._compile_ascent(recipe).network, [0])
            return
        for canvas in list_canvases(recipe.canvas):
            self.dream(np.full((canvas.height, canvas.width, 3), 128, np.uint8), short_recipe, seed=0)
        self._warmed_up.add(key)
        try:
            self._networks.store_bundled_maps()
        except StoreError as error:  # the display works without it
            logger.warning("The art map was not put into the store: %s", error)

    def dream_next(
        self,
        photo: Pixels,
        recipe: Recipe,
        *,
        seed: int,
        change: Change | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> tuple[Pixels, Change]:
        """Dream one picture of a video, beginning with a change that was dreamt before.

        change: added to the photo before the first step, (height, width, 3) float32, of pixels in [-1, 1], at the size
        of the canvas with the aspect of the photo; None begins as `dream` does. Recipes that begin with noise ignore
        it. on_step: called after each step; an exception from it ends the dream. Returns the dream at that size,
        (height, width, 3) uint8 sRGB, and its change. Another thread may dream at the same time. Raises what `dream`
        raises, without trying a smaller canvas.
        """
        ascent = self._ascend([photo], recipe, [seed], lambda *_: on_step(), change=change)
        canvas_fit, state = ascent.canvas_fit, ascent.state
        if state is None:
            return canvas_fit.frame_photos[0], np.zeros(canvas_fit.frame_photos[0].shape, np.float32)
        (dream,) = canvas_fit.apply_brush(_composite(canvas_fit, state, canvas_fit.frame_photos, recipe))
        parameterization = PARAMETERIZATIONS[recipe.parameterisation, recipe.start]
        return dream, canvas_fit.crop_change(parameterization.find_start(state.pictures) - state.photos)

    def _dream_photos(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        seeds: Sequence[int],
        frame_callbacks: Sequence[Callable[[Frame], None]],
        full_photo_loaders: Sequence[Callable[[], Pixels]],
    ) -> list[DreamResult]:
        """Dream photos in one gradient ascent. frame_callbacks, full_photo_loaders: one for each photo, or none."""
        frame_indexes, last_frame_fraction = itertools.count(), -FRAME_INTERVAL_FRACTION

        def emit_frame(fraction: float, pictures: Sequence[Pixels]) -> None:
            index = next(frame_indexes)
            for callback, pixels in zip(frame_callbacks, pictures, strict=False):
                callback(Frame(index, fraction, pixels))

        def on_step(canvas_fit: CanvasFit, state: AscentState) -> None:
            nonlocal last_frame_fraction
            is_due = state.ends_octave or state.fraction - last_frame_fraction >= FRAME_INTERVAL_FRACTION
            if frame_callbacks and is_due and state.fraction < 1:
                emit_frame(state.fraction, _composite(canvas_fit, state, canvas_fit.frame_photos, recipe))
                last_frame_fraction = state.fraction

        ascent = self._ascend(photos, recipe, seeds, on_step, full_photo_loaders)
        canvas_fit = ascent.canvas_fit
        dreams = _composite(canvas_fit, ascent.state, canvas_fit.photos, recipe) if ascent.state else canvas_fit.photos
        pixels = canvas_fit.apply_brush(dreams)
        emit_frame(1.0, pixels)
        critic = self._load_critic(ascent.network)
        embedding_map = self._networks.embedding_map(critic.name)
        results = [
            _build_result(ascent.network, critic, recipe, photo, dream, ascent.artworks, embedding_map)
            for photo, dream in zip(photos, pixels, strict=True)
        ]
        people_seen: Sequence[bool | None] = canvas_fit.people_seen or [None] * len(results)
        return [replace(result, people_seen=seen) for result, seen in zip(results, people_seen, strict=True)]

    def _ascend(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        seeds: Sequence[int],
        on_step: Callable[[CanvasFit, AscentState], None],
        full_photo_loaders: Sequence[Callable[[], Pixels]] = (),
        change: Change | None = None,
    ) -> _FinishedAscent:
        """Run the gradient ascent of some photos. full_photo_loaders, change: as for `CanvasFit`, for `dream_next`."""
        for photo in photos:
            if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
                raise ValueError(f"A photo is (height, width, 3) of uint8, not {photo.shape} of {photo.dtype}.")
        compiled = self._compile_ascent(recipe)
        artworks = {
            name: self._reference_images.load_artwork(name, seeds[0])
            for name in compiled.objective_gradient.reference_names
        }
        runtime_inputs = self._build_runtime_inputs(recipe, compiled.network, seeds)
        toning = find_toning(recipe.objective, runtime_inputs)
        canvas_fit = CanvasFit(photos, recipe, self._reference_images, toning, full_photo_loaders, change)
        canvas = Octave(canvas_fit.canvas.height, canvas_fit.canvas.width)
        last_state: deque[AscentState] = deque(maxlen=1)

        def keep_state(state: AscentState) -> None:
            last_state.append(state)
            on_step(canvas_fit, state)

        ascend(
            compiled.objective_gradient,
            compiled.optimizer,
            PARAMETERIZATIONS[recipe.parameterisation, recipe.start],
            canvas_fit,
            list_octaves(canvas.height, canvas.width, recipe.ascent, compiled.network.min_side)
            if recipe.parameterisation == "pixels"
            else [canvas],
            recipe.ascent,
            artworks={name: artwork.pixels for name, artwork in artworks.items()},
            runtime_inputs=runtime_inputs,
            seeds=seeds,
            on_step=keep_state,
            initial_change=None if change is None else canvas_fit.pad_change(change),
        )
        artwork_names = tuple(artwork.name for artwork in artworks.values())
        return _FinishedAscent(compiled.network, artwork_names, canvas_fit, last_state[0] if last_state else None)

    def _build_runtime_inputs(self, recipe: Recipe, network: Network, seeds: Sequence[int]) -> dict[str, FloatArray]:
        """Return the runtime inputs of a recipe. Raises ArtDreamError for a class or an artist that does not exist."""
        statistics = (
            self._networks.style_statistics(recipe.network) if needs_style_statistics(recipe.objective) else None
        )
        return build_runtime_inputs(recipe.objective, network, statistics, seeds)

    def _compile_ascent(self, recipe: Recipe) -> _CompiledAscent:
        """Return the compiled parts for a recipe. Recipes that differ only in runtime inputs share them."""
        with self._compiling:
            return self._compile_ascent_once(recipe)

    def _compile_ascent_once(self, recipe: Recipe) -> _CompiledAscent:
        key = self._make_compilation_key(recipe)
        if key in self._objective_gradients:
            self._objective_gradients.move_to_end(key)
        else:
            network = self._load_network(recipe)
            objective = build_objective(recipe.objective, network)
            self._objective_gradients[key] = (
                network,
                ObjectiveGradient(
                    network,
                    objective,
                    levels=_get_laplacian_levels(recipe),
                    parameterization=PARAMETERIZATIONS[recipe.parameterisation, recipe.start],
                ),
            )
            if len(self._objective_gradients) > MAX_COMPILED_OBJECTIVES:
                self._objective_gradients.popitem(last=False)
        network, objective_gradient = self._objective_gradients[key]
        return _CompiledAscent(network, objective_gradient, self._get_optimizer(recipe))

    def _make_compilation_key(self, recipe: Recipe) -> str:
        """Return a key for everything that is compiled for a recipe."""
        return json.dumps(
            [
                recipe.network,
                extract_static_terms(recipe.objective),
                _get_laplacian_levels(recipe),
                recipe.parameterisation,
                recipe.start,
            ]
        )

    def _load_network(self, recipe: Recipe) -> Network:
        try:
            return self._networks.load(recipe.network)
        except ArtDreamError as error:
            if recipe.stand_in is None:
                raise
            raise ArtDreamError(f"{error} Meanwhile “{recipe.stand_in}” stands in for “{recipe.name}”.") from error

    def _load_critic(self, network: Network) -> Network:
        """Return the network that judges dreams of a network: another one with the same classes, or itself."""
        has_critic = network.classes == PAINTERS and network.name != CRITIC_NETWORK
        return self._networks.load(CRITIC_NETWORK) if has_critic else network

    def _get_optimizer(self, recipe: Recipe) -> Optimizer:
        parameterization = PARAMETERIZATIONS[recipe.parameterisation, recipe.start]
        key = recipe.ascent.optimiser, recipe.parameterisation
        if key not in self._optimizers:
            self._optimizers[key] = (
                Adam(len(parameterization.channels), bounded=parameterization.is_pixels)
                if recipe.ascent.optimiser == "adam"
                else GradientAscent()
            )
        return self._optimizers[key]


def _get_laplacian_levels(recipe: Recipe) -> int | None:
    return recipe.ascent.levels if recipe.ascent.optimiser == "gradient" else None


def _composite(canvas_fit: CanvasFit, state: AscentState, photos: Sequence[Pixels], recipe: Recipe) -> list[Pixels]:
    """Return the dreams at a state of the ascent, at the size of the photos. Raises ArtDreamError if it ran away."""
    pixels = canvas_fit.composite(state, photos)
    if pixels is None or not np.isfinite(state.values).all():
        raise ArtDreamError(
            f"The dream of recipe “{recipe.name}” ran away at {state.fraction:.0%}: its numbers are no longer finite. "
            "Lower the weights of its objective."
        )
    return pixels


def _build_result(
    network: Network,
    critic: Network,
    recipe: Recipe,
    photo: Pixels,
    dream: Pixels,
    artworks: tuple[str, ...],
    embedding_map: EmbeddingMap | None,
) -> DreamResult:
    """Build the result of a dream, with class probabilities and a map point if recipe and network have them."""
    requested = [
        critic.class_index(name) for term in recipe.objective if isinstance(term, Classes) for name in term.classes
    ]
    class_probabilities: tuple[ClassProbability, ...] = ()
    map_point = None
    if requested or embedding_map:
        prediction = critic.predict([photo, dream])
        if requested:
            class_probabilities = _list_class_probabilities(critic, requested, *prediction.probabilities)
        if embedding_map:
            photo_position, dream_position = embedding_map.locate(prediction.features).tolist()
            map_point = MapPoint(network=critic.name, photo=photo_position, dream=dream_position)
    return DreamResult(dream, network.digest, network.precision, artworks, class_probabilities, critic.name, map_point)


def _list_class_probabilities(
    network: Network, requested: list[int], photo_probabilities: FloatArray, dream_probabilities: FloatArray
) -> tuple[ClassProbability, ...]:
    """Return the probabilities of the classes that a recipe asks for, then of the top classes of the dream."""
    indexes = dict.fromkeys([*requested, *np.argsort(-dream_probabilities)[:TOP_CLASS_COUNT].tolist()])
    return tuple(
        ClassProbability(
            name=network.classes[index],
            photo=float(photo_probabilities[index]),
            dream=float(dream_probabilities[index]),
        )
        for index in indexes
    )
