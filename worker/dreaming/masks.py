"""Masks: how far the pixels of a photo may change, from 0, not at all, to 1."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.recipe import Ellipse, People, Stencil
from worker.dreamer import Change, Pixels
from worker.dreaming.matte import Matte
from worker.dreaming.reference_images import ReferenceImages
from worker.networks.people import find_people

Floats = NDArray[np.float32]


class PeopleMask:
    """The mask of the people in one photo, or of their background, at any size."""

    def __init__(self, spec: People, photo: Pixels, change: Change | None = None) -> None:
        """Look for people in a photo, (height, width, 3) uint8 sRGB.

        change: with which the ascent begins, (height, width, 3) float32, if the photo is a picture of a video. If
        nobody is seen, the picture may change where this did: somebody who is not recognized for a moment stays what
        they are. Raises ArtDreamError if the networks' weights are missing or damaged.
        """
        self._spec = spec
        probability = find_people(photo)
        #: Whether anybody is seen. If not, the whole photo may change.
        self.people_seen = probability is not None
        self._matte = None if probability is None else Matte(probability, photo)
        self._changed = None if change is None else (change != 0).any(axis=2).astype(np.float32)

    def render(self, photo: Pixels) -> Floats:
        """Render the mask for the same photo at another size: (height, width) float32, 0 where it stays as it is."""
        size = photo.shape[1], photo.shape[0]
        if self._matte is not None:
            people = self._matte.render(photo)
            mask = people if self._spec.kind == "people" else 1 - people
        elif self._changed is not None:
            mask = cv2.resize(self._changed, size)
        else:
            return np.ones(photo.shape[:2], np.float32)
        return mask * _fade_from_edge(mask, self._spec.feather * max(size))


def render_mask(mask: Ellipse | Stencil, height: int, width: int, reference_images: ReferenceImages) -> Floats:
    """Render a mask that does not depend on the photo: (height, width). Raises ArtDreamError if it cannot be loaded."""
    if isinstance(mask, Ellipse):
        return _render_ellipse(mask, height, width)
    stencil = Image.fromarray(reference_images.load_artwork(mask.reference, 0).pixels).convert("L")
    return np.asarray(stencil.resize((width, height)), np.float32) / np.float32(255)


def _render_ellipse(spec: Ellipse, height: int, width: int) -> Floats:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    radius = np.hypot((x / width - spec.x) / (spec.width / 2), (y / height - spec.y) / (spec.height / 2))
    from_rim = radius - 1 if spec.outside else 1 - radius
    return _smooth(from_rim / max(spec.feather, 1e-6))


def _fade_from_edge(mask: Floats, width: float) -> Floats:
    """Return factors that rise from 0 at the edge of what stays to 1 at a distance in pixels: (height, width)."""
    distance = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return _smooth(np.asarray(distance, np.float32) / np.float32(max(width, 1e-6)))


def _smooth(share: Floats) -> Floats:
    clipped = np.clip(share, 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped), np.float32)
