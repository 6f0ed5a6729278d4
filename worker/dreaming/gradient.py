"""The slope: where a picture has to change so that an objective rises, tile by tile where the picture is large."""

from collections.abc import Callable, Iterator, Mapping
from math import ceil

import numpy as np
from keras import ops
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import scale_to_long_side
from worker.backend import Shape, Tensor, compiled, rolled, value_and_gradient
from worker.dreaming.laplacian import normalised
from worker.dreaming.objectives import GIVEN, PHOTO, Aim, Objective, View
from worker.dreaming.parameterization import MEDIA, Medium
from worker.networks.network import Network, to_picture

#: A picture is looked at in tiles with sides no longer than this, so that memory does not grow with the picture.
TILE = 512

#: A picture whose long side is no longer than this is still looked at as a whole.
WHOLE = 1536

#: Sides of tiles are multiples of this, the coarsest stride of a network.
GRAIN = 32

#: From parameters, and shifts (batch, 2) int32 in pixels down and right, to values (batch,) and gradient.
ShiftedLook = Callable[[Tensor, NDArray[np.int32]], tuple[Tensor, Tensor]]

Targets = dict[str, Tensor]

PICTURE: tuple[Shape, str] = ((None, None, None, 3), "float32")
SHIFTS: tuple[Shape, str] = ((None, 2), "int32")


class Slope:
    """The gradient of one objective through one network, compiled once for pictures of any size."""

    def __init__(
        self,
        network: Network,
        objective: Objective,
        *,
        levels: int | None = None,
        medium: Medium = MEDIA["photo"],
    ) -> None:
        """Compile.

        levels: Laplacian levels of the pixels' gradient that are normalised one by one; None leaves the gradient as it
        is. medium: what the parameters are. Raises ArtDreamError for a layer that the network does not have.
        """
        aims = objective.aims
        # An objective may look at nothing but the picture.
        features = network.features(objective.layers) if objective.layers else None

        def score(picture: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
            named = {aim.key: target for aim, target in zip(aims, targets, strict=True)}
            return objective.score(View(picture, features(picture) if features else {}, named))

        def whole(picture: Tensor, shifts: Tensor, *targets: Tensor) -> tuple[Tensor, Tensor]:
            value, gradient = value_and_gradient(lambda x: score(x, targets), rolled(picture, shifts))
            return value, finished(gradient, shifts)

        def painted(parameters: Tensor, shifts: Tensor, *targets: Tensor) -> tuple[Tensor, Tensor]:
            return value_and_gradient(lambda x: score(rolled(medium.paint(x), shifts), targets), parameters)

        def tile(picture: Tensor, *targets: Tensor) -> tuple[Tensor, Tensor]:
            return value_and_gradient(lambda x: score(x, targets), picture)

        def finished(gradient: Tensor, shifts: Tensor) -> Tensor:
            # Normalised as it was seen, so that the jitter moves the squares of the pyramid about.
            return rolled(gradient if levels is None else normalised(gradient, levels), -shifts)

        wanted: list[tuple[Shape, str]] = [((None,) * aim.rank, "float32") for aim in aims]
        parameters: tuple[Shape, str] = ((None, None, None, medium.channels), "float32")
        look = whole if medium is MEDIA["photo"] else painted
        self._whole = compiled(look, takes=[parameters, SHIFTS, *wanted], reads=features)
        self._tile = compiled(tile, takes=[PICTURE, *wanted], reads=features)
        self._finished = compiled(finished, takes=[PICTURE, SHIFTS])
        self._rolled = compiled(rolled, takes=[PICTURE, SHIFTS])
        #: The artworks that the objective looks at, as recipes name them.
        self.references = tuple(dict.fromkeys(aim.source for aim in aims if aim.source not in (PHOTO, GIVEN)))
        self._keys = [aim.key for aim in aims]
        # Aims that look at the same picture share one look at it.
        self._aims = {
            sight: _Aims(network, [aim for aim in aims if (aim.source, aim.side) == sight])
            for sight in dict.fromkeys((aim.source, aim.side) for aim in aims if aim.source != GIVEN)
        }

    def over(
        self, photo: Tensor, artworks: Mapping[str, NDArray[np.uint8]], givens: Mapping[str, NDArray[np.float32]]
    ) -> ShiftedLook:
        """Return the slope of one octave.

        photo: (batch, height, width, 3) in [-1, 1]. artworks: reference → pixels, for each that the objective names.
        givens: key → numbers, for each aim that is given.
        """
        height, width = (int(side) for side in ops.shape(photo)[1:3])
        fixed: Targets = dict(givens)
        for (source, side), aims in self._aims.items():
            if source != PHOTO:
                fixed |= aims.targets(_shown(artworks[source], min(side, max(height, width))))
        follow = [aims for (source, _), aims in self._aims.items() if source == PHOTO]

        def targets(photo: Tensor) -> list[Tensor]:
            whole = fixed.copy()
            for aims in follow:
                whole |= aims.targets(photo)
            return [whole[key] for key in self._keys]

        kept: dict[bytes, list[Tensor]] = {}

        def look(parameters: Tensor, shifts: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
            key = shifts.tobytes() if follow else b""
            if key not in kept:
                kept.clear()
                kept[key] = targets(self._rolled(photo, shifts) if follow else photo)
            return self._whole(parameters, shifts, *kept[key])  # type: ignore[no-any-return]

        def look_by_tiles(picture: Tensor, shifts: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
            shifted = self._rolled(picture, shifts)
            shifted_photo = self._rolled(photo, shifts) if follow else photo
            gradient = np.zeros(ops.shape(picture), np.float32)
            values = []
            for rows, columns in _tiles(height, width):
                value, part = self._tile(shifted[:, rows, columns], *targets(shifted_photo[:, rows, columns]))
                gradient[:, rows, columns] = part
                values.append(np.asarray(value))
            del shifted, shifted_photo, part  # a large picture is here several times; the fewer at once, the better
            return np.mean(values, axis=0), self._finished(gradient, shifts)

        return look if max(height, width) <= WHOLE else look_by_tiles


class _Aims:
    """Aims that look at the same picture."""

    def __init__(self, network: Network, aims: list[Aim]) -> None:
        features = network.features(tuple(dict.fromkeys(aim.layer for aim in aims)))

        def seen(picture: Tensor) -> Targets:
            activations = features(picture)
            return {aim.key: aim.target(activations[aim.layer]) for aim in aims}

        self.targets: Callable[[Tensor], Targets] = compiled(seen, takes=[PICTURE], reads=features)


def _shown(artwork: NDArray[np.uint8], long_side: int) -> NDArray[np.float32]:
    """Scale an artwork to a long side, as a picture of the engine."""
    height, width, _ = artwork.shape
    size = scale_to_long_side(width, height, long_side)
    return to_picture(np.asarray(Image.fromarray(artwork).resize(size, Image.Resampling.LANCZOS)))


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Cover a picture with tiles of one size, as few as can be; where it does not divide evenly they overlap."""
    for rows in _parts(height):
        for columns in _parts(width):
            yield rows, columns


def _parts(side: int) -> list[slice]:
    count = ceil(side / TILE)
    length = min(side, ceil(side / count / GRAIN) * GRAIN)
    starts = np.linspace(0, side - length, count).round().astype(int).tolist()
    return [slice(start, start + length) for start in starts]
