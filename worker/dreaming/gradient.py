"""The gradient of an objective with respect to a picture, computed tile by tile if the picture is large."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import scale_to_long_side
from worker.backend import Shape, Tensor, compile_function, roll, value_and_gradient
from worker.dreaming.laplacian import normalize_levels
from worker.dreaming.objectives import PHOTO_SOURCE, RUNTIME_SOURCE, Objective, ObjectiveInputs, Target
from worker.dreaming.parameterization import PARAMETERIZATIONS, Parameterization, Parameters
from worker.networks.network import Network, to_picture

#: Longest side of a tile in pixels. Tiles keep the memory of large pictures constant.
MAX_TILE_SIDE = 512

#: Longest side in pixels of a picture that is processed as a whole.
MAX_UNTILED_SIDE = 1536

#: Sides of tiles are multiples of this many pixels, the coarsest stride of a network.
TILE_SIDE_MULTIPLE = 32

#: From parameters, and shifts (batch, 2) int32 in pixels down and right, to values (batch,) and gradients.
ShiftedGradientFn = Callable[[Parameters, NDArray[np.int32]], tuple[Tensor, Parameters]]

TargetValues = dict[str, Tensor]

PICTURE_SPEC: tuple[Shape, str] = ((None, None, None, 3), "float32")
MASK_SPEC: tuple[Shape, str] = ((None, None, None, 1), "float32")
SHIFTS_SPEC: tuple[Shape, str] = ((None, 2), "int32")


class ObjectiveGradient:
    """The gradient of one objective through one network, compiled once for pictures of any size."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        *,
        levels: int | None = None,
        parameterization: Parameterization = PARAMETERIZATIONS["pixels", "photo"],
    ) -> None:
        """Compile.

        levels: Laplacian levels of the pixels' gradient to normalise one by one; None leaves the gradient unchanged.
        parameterization: turns the parameters into a picture; all but pixels leave the gradient unchanged. Raises
        ArtDreamError for a layer that the network does not have.
        """
        targets = objective.targets
        # An objective may depend on the picture alone.
        features = network.feature_extractor(objective.layers) if objective.layers else None

        def score(picture: Tensor, target_values: tuple[Tensor, ...]) -> Tensor:
            values_by_key = {target.key: value for target, value in zip(targets, target_values, strict=True)}
            return objective.score(ObjectiveInputs(picture, features(picture) if features else {}, values_by_key))

        def compute_pixels(picture: Tensor, shifts: Tensor, *target_values: Tensor) -> tuple[Tensor, Parameters]:
            value, (gradient,) = value_and_gradient(lambda x: score(x, target_values), roll(picture, shifts))
            return value, (normalize_and_unroll(gradient, shifts),)

        def compute_parameters(photos: Tensor, mask: Tensor, shifts: Tensor, *others: Tensor) -> Any:
            parameters, target_values = others[:parameter_count], others[parameter_count:]
            return value_and_gradient(
                lambda *x: score(roll(parameterization.render(x, photos, mask), shifts), target_values), *parameters
            )

        def compute_tile(picture: Tensor, *target_values: Tensor) -> tuple[Tensor, Tensor]:
            value, (gradient,) = value_and_gradient(lambda x: score(x, target_values), picture)
            return value, gradient

        def render(photos: Tensor, mask: Tensor, *parameters: Tensor) -> Tensor:
            return parameterization.render(parameters, photos, mask)

        def pull_back(photos: Tensor, mask: Tensor, gradient: Tensor, *parameters: Tensor) -> Parameters:
            """Return the gradient of the parameters, given that of the pictures."""
            return value_and_gradient(
                lambda *x: ops.sum(parameterization.render(x, photos, mask) * gradient, axis=(1, 2, 3)), *parameters
            )[1]

        def normalize_and_unroll(gradient: Tensor, shifts: Tensor) -> Tensor:
            # Normalised while still shifted, so that the jitter moves the blocks of the pyramid about.
            return roll(gradient if levels is None else normalize_levels(gradient, levels), -shifts)

        target_specs: list[tuple[Shape, str]] = [((None,) * target.rank, "float32") for target in targets]
        parameter_count = len(parameterization.channels)
        parameter_specs: list[tuple[Shape, str]] = [
            ((None, None, None, channels), "float32") for channels in parameterization.channels
        ]
        self._parameterization = parameterization
        self._compute_pixels = compile_function(
            compute_pixels, input_specs=[PICTURE_SPEC, SHIFTS_SPEC, *target_specs], model=features
        )
        self._compute_parameters = compile_function(
            compute_parameters,
            input_specs=[PICTURE_SPEC, MASK_SPEC, SHIFTS_SPEC, *parameter_specs, *target_specs],
            model=features,
        )
        self._render = compile_function(render, input_specs=[PICTURE_SPEC, MASK_SPEC, *parameter_specs])
        self._pull_back = compile_function(
            pull_back, input_specs=[PICTURE_SPEC, MASK_SPEC, PICTURE_SPEC, *parameter_specs]
        )
        self._compute_tile = compile_function(compute_tile, input_specs=[PICTURE_SPEC, *target_specs], model=features)
        self._normalize_and_unroll = compile_function(normalize_and_unroll, input_specs=[PICTURE_SPEC, SHIFTS_SPEC])
        self._roll = compile_function(roll, input_specs=[PICTURE_SPEC, SHIFTS_SPEC])
        #: References of the artworks that the objective uses, as recipes name them.
        self.reference_names = tuple(
            dict.fromkeys(target.source for target in targets if target.source not in (PHOTO_SOURCE, RUNTIME_SOURCE))
        )
        self._target_keys = [target.key for target in targets]
        # Targets of the same picture share one forward pass.
        self._target_groups = {
            source_and_side: _TargetGroup(
                network, [target for target in targets if (target.source, target.max_side) == source_and_side]
            )
            for source_and_side in dict.fromkeys(
                (target.source, target.max_side) for target in targets if target.source != RUNTIME_SOURCE
            )
        }

    def make_gradient_fn(
        self,
        photo: Tensor,
        mask: Tensor,
        artworks: Mapping[str, NDArray[np.uint8]],
        runtime_inputs: Mapping[str, NDArray[np.float32]],
    ) -> ShiftedGradientFn:
        """Return the gradient function of one octave, or of one view of the canvas.

        photo: (batch, height, width, 3) float32 in [-1, 1]. mask: how far each pixel may change, (1, 1, 1, 1) or (1 or
        batch, height, width, 1) in [0, 1]; pixels are not masked here, but by their optimizer. artworks: reference →
        pixels (height, width, 3), for each reference of the objective. runtime_inputs: target key → values, for each
        target with RUNTIME_SOURCE.
        """
        height, width = (int(side) for side in ops.shape(photo)[1:3])
        fixed_values: TargetValues = dict(runtime_inputs)
        for (source, side), group in self._target_groups.items():
            if source != PHOTO_SOURCE:
                fixed_values |= group.compute(_scale_artwork(artworks[source], min(side, max(height, width))))
        photo_groups = [group for (source, _), group in self._target_groups.items() if source == PHOTO_SOURCE]

        def compute_target_values(photo: Tensor) -> list[Tensor]:
            target_values = fixed_values.copy()
            for group in photo_groups:
                target_values |= group.compute(photo)
            return [target_values[key] for key in self._target_keys]

        cached_values: dict[bytes, list[Tensor]] = {}

        def compute_gradient(parameters: Parameters, shifts: NDArray[np.int32]) -> tuple[Tensor, Parameters]:
            key = shifts.tobytes() if photo_groups else b""
            if key not in cached_values:
                cached_values.clear()
                cached_values[key] = compute_target_values(self._roll(photo, shifts) if photo_groups else photo)
            if self._parameterization.is_pixels:
                return self._compute_pixels(*parameters, shifts, *cached_values[key])  # type: ignore[no-any-return]
            return self._compute_parameters(  # type: ignore[no-any-return]
                photo, mask, shifts, *parameters, *cached_values[key]
            )

        def compute_gradient_by_tiles(parameters: Parameters, shifts: NDArray[np.int32]) -> tuple[Tensor, Parameters]:
            shifted = self._roll(self.render(parameters, photo, mask), shifts)
            shifted_photo = self._roll(photo, shifts) if photo_groups else photo
            gradient = np.zeros(ops.shape(photo), np.float32)
            values = []
            for rows, columns in _iterate_tiles(height, width):
                value, tile_gradient = self._compute_tile(
                    shifted[:, rows, columns], *compute_target_values(shifted_photo[:, rows, columns])
                )
                gradient[:, rows, columns] = tile_gradient
                values.append(np.asarray(value))
            del shifted, shifted_photo, tile_gradient  # fewer copies of a large picture at a time
            gradient = self._normalize_and_unroll(gradient, shifts)
            if self._parameterization.is_pixels:
                return np.mean(values, axis=0), (gradient,)
            return np.mean(values, axis=0), self._pull_back(photo, mask, gradient, *parameters)

        return compute_gradient if max(height, width) <= MAX_UNTILED_SIDE else compute_gradient_by_tiles

    def render(self, parameters: Parameters, photo: Tensor, mask: Tensor) -> Tensor:
        """Return the picture that the parameters stand for: (batch, height, width, 3) float32 in [-1, 1]."""
        return parameters[0] if self._parameterization.is_pixels else self._render(photo, mask, *parameters)


class _TargetGroup:
    """Targets that are computed from the same picture."""

    def __init__(self, network: Network, targets: list[Target]) -> None:
        features = network.feature_extractor(tuple(dict.fromkeys(target.layer for target in targets)))

        def compute_target_values(picture: Tensor) -> TargetValues:
            activations = features(picture)
            return {target.key: target.compute(activations[target.layer]) for target in targets}

        self.compute: Callable[[Tensor], TargetValues] = compile_function(
            compute_target_values, input_specs=[PICTURE_SPEC], model=features
        )


def _scale_artwork(artwork: NDArray[np.uint8], long_side: int) -> NDArray[np.float32]:
    """Scale an artwork to a long side: (1, height, width, 3) float32 in [-1, 1]."""
    height, width, _ = artwork.shape
    size = scale_to_long_side(width, height, long_side)
    return to_picture(np.asarray(Image.fromarray(artwork).resize(size, Image.Resampling.LANCZOS)))


def _iterate_tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the fewest tiles of one size that cover a picture; they overlap if it does not divide evenly.

    Where they overlap, the last one counts.
    """
    for rows in _split_side(height):
        for columns in _split_side(width):
            yield rows, columns


def _split_side(side: int) -> list[slice]:
    count = ceil(side / MAX_TILE_SIDE)
    length = min(side, ceil(side / count / TILE_SIDE_MULTIPLE) * TILE_SIDE_MULTIPLE)
    starts = np.linspace(0, side - length, count).round().astype(int).tolist()
    return [slice(start, start + length) for start in starts]
