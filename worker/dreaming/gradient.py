"""The slope: where a picture has to change so that an objective rises, tile by tile where the picture is large."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil

import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import scale_to_long_side
from worker.backend import Shape, Tensor, compile_function, roll, value_and_gradient
from worker.dreaming.laplacian import normalize_levels
from worker.dreaming.objectives import PHOTO_SOURCE, RUNTIME_SOURCE, Objective, ObjectiveInputs, Target
from worker.dreaming.parameterization import PARAMETERIZATIONS, Parameterization
from worker.networks.network import Network, to_picture

#: A picture is looked at in tiles with sides no longer than this, so that memory does not grow with the picture.
MAX_TILE_SIDE = 512

#: A picture whose long side is no longer than this is still looked at as a whole.
MAX_UNTILED_SIDE = 1536

#: Sides of tiles are multiples of this, the coarsest stride of a network.
TILE_SIDE_MULTIPLE = 32

#: From parameters, and shifts (batch, 2) int32 in pixels down and right, to values (batch,) and gradient.
ShiftedGradientFn = Callable[[Tensor, NDArray[np.int32]], tuple[Tensor, Tensor]]

TargetValues = dict[str, Tensor]

PICTURE_SPEC: tuple[Shape, str] = ((None, None, None, 3), "float32")
SHIFTS_SPEC: tuple[Shape, str] = ((None, 2), "int32")


class ObjectiveGradient:
    """The gradient of one objective through one network, compiled once for pictures of any size."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        *,
        levels: int | None = None,
        parameterization: Parameterization = PARAMETERIZATIONS["photo"],
    ) -> None:
        """Compile.

        levels: Laplacian levels of the pixels' gradient that are normalised one by one; None leaves the gradient as it
        is. medium: what the parameters are. Raises ArtDreamError for a layer that the network does not have.
        """
        aims = objective.targets
        # An objective may look at nothing but the picture.
        features = network.feature_extractor(objective.layers) if objective.layers else None

        def score(picture: Tensor, target_values: tuple[Tensor, ...]) -> Tensor:
            named = {aim.key: target for aim, target in zip(aims, target_values, strict=True)}
            return objective.score(ObjectiveInputs(picture, features(picture) if features else {}, named))

        def compute_whole(picture: Tensor, shifts: Tensor, *target_values: Tensor) -> tuple[Tensor, Tensor]:
            value, gradient = value_and_gradient(lambda x: score(x, target_values), roll(picture, shifts))
            return value, normalize_and_unroll(gradient, shifts)

        def compute_parameterized(parameters: Tensor, shifts: Tensor, *target_values: Tensor) -> tuple[Tensor, Tensor]:
            return value_and_gradient(
                lambda x: score(roll(parameterization.to_image(x), shifts), target_values), parameters
            )

        def compute_tile(picture: Tensor, *target_values: Tensor) -> tuple[Tensor, Tensor]:
            return value_and_gradient(lambda x: score(x, target_values), picture)

        def normalize_and_unroll(gradient: Tensor, shifts: Tensor) -> Tensor:
            # Normalised as it was seen, so that the jitter moves the squares of the pyramid about.
            return roll(gradient if levels is None else normalize_levels(gradient, levels), -shifts)

        wanted: list[tuple[Shape, str]] = [((None,) * aim.rank, "float32") for aim in aims]
        parameters: tuple[Shape, str] = ((None, None, None, parameterization.channels), "float32")
        look = compute_whole if parameterization is PARAMETERIZATIONS["photo"] else compute_parameterized
        self._compute_whole = compile_function(look, input_specs=[parameters, SHIFTS_SPEC, *wanted], model=features)
        self._compute_tile = compile_function(compute_tile, input_specs=[PICTURE_SPEC, *wanted], model=features)
        self._normalize_and_unroll = compile_function(normalize_and_unroll, input_specs=[PICTURE_SPEC, SHIFTS_SPEC])
        self._roll = compile_function(roll, input_specs=[PICTURE_SPEC, SHIFTS_SPEC])
        #: The artworks that the objective looks at, as recipes name them.
        self.reference_names = tuple(
            dict.fromkeys(aim.source for aim in aims if aim.source not in (PHOTO_SOURCE, RUNTIME_SOURCE))
        )
        self._target_keys = [aim.key for aim in aims]
        # Aims that look at the same picture share one look at it.
        self._target_groups = {
            sight: _TargetGroup(network, [aim for aim in aims if (aim.source, aim.max_side) == sight])
            for sight in dict.fromkeys((aim.source, aim.max_side) for aim in aims if aim.source != RUNTIME_SOURCE)
        }

    def make_gradient_fn(
        self,
        photo: Tensor,
        artworks: Mapping[str, NDArray[np.uint8]],
        runtime_inputs: Mapping[str, NDArray[np.float32]],
    ) -> ShiftedGradientFn:
        """Return the slope of one octave.

        photo: (batch, height, width, 3) in [-1, 1]. artworks: reference → pixels, for each that the objective names.
        givens: key → numbers, for each aim that is given.
        """
        height, width = (int(side) for side in ops.shape(photo)[1:3])
        fixed: TargetValues = dict(runtime_inputs)
        for (source, side), aims in self._target_groups.items():
            if source != PHOTO_SOURCE:
                fixed |= aims.compute(_scale_artwork(artworks[source], min(side, max(height, width))))
        follow = [aims for (source, _), aims in self._target_groups.items() if source == PHOTO_SOURCE]

        def compute_target_values(photo: Tensor) -> list[Tensor]:
            whole = fixed.copy()
            for aims in follow:
                whole |= aims.compute(photo)
            return [whole[key] for key in self._target_keys]

        kept: dict[bytes, list[Tensor]] = {}

        def compute_gradient(parameters: Tensor, shifts: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
            key = shifts.tobytes() if follow else b""
            if key not in kept:
                kept.clear()
                kept[key] = compute_target_values(self._roll(photo, shifts) if follow else photo)
            return self._compute_whole(parameters, shifts, *kept[key])  # type: ignore[no-any-return]

        def compute_gradient_by_tiles(picture: Tensor, shifts: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
            shifted = self._roll(picture, shifts)
            shifted_photo = self._roll(photo, shifts) if follow else photo
            gradient = np.zeros(ops.shape(picture), np.float32)
            values = []
            for rows, columns in _iterate_tiles(height, width):
                value, part = self._compute_tile(
                    shifted[:, rows, columns], *compute_target_values(shifted_photo[:, rows, columns])
                )
                gradient[:, rows, columns] = part
                values.append(np.asarray(value))
            del shifted, shifted_photo, part  # a large picture is here several times; the fewer at once, the better
            return np.mean(values, axis=0), self._normalize_and_unroll(gradient, shifts)

        return compute_gradient if max(height, width) <= MAX_UNTILED_SIDE else compute_gradient_by_tiles


class _TargetGroup:
    """Aims that look at the same picture."""

    def __init__(self, network: Network, targets: list[Target]) -> None:
        features = network.feature_extractor(tuple(dict.fromkeys(aim.layer for aim in targets)))

        def compute_target_values(picture: Tensor) -> TargetValues:
            activations = features(picture)
            return {aim.key: aim.compute(activations[aim.layer]) for aim in targets}

        self.compute: Callable[[Tensor], TargetValues] = compile_function(
            compute_target_values, input_specs=[PICTURE_SPEC], model=features
        )


def _scale_artwork(artwork: NDArray[np.uint8], long_side: int) -> NDArray[np.float32]:
    """Scale an artwork to a long side, as a picture of the engine."""
    height, width, _ = artwork.shape
    size = scale_to_long_side(width, height, long_side)
    return to_picture(np.asarray(Image.fromarray(artwork).resize(size, Image.Resampling.LANCZOS)))


def _iterate_tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cover a picture with tiles of one size, as few as can be; where it does not divide evenly they overlap."""
    for rows in _split_side(height):
        for columns in _split_side(width):
            yield rows, columns


def _split_side(side: int) -> list[slice]:
    count = ceil(side / MAX_TILE_SIDE)
    length = min(side, ceil(side / count / TILE_SIDE_MULTIPLE) * TILE_SIDE_MULTIPLE)
    starts = np.linspace(0, side - length, count).round().astype(int).tolist()
    return [slice(start, start + length) for start in starts]
