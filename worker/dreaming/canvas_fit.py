"""Canvas fit: scale photos, pad them to their canvas by reflection, mask them, and crop the dreams out again."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas, choose_canvas, scale_to_canvas
from shared.recipe.recipe import People, Recipe
from worker.backend import Tensor, resize
from worker.dreamer import Change, Pixels
from worker.dreaming.color_transfer import Toning, tone_photo
from worker.dreaming.kuwahara import apply_kuwahara_filter
from worker.dreaming.masks import PeopleMask, render_mask
from worker.dreaming.octaves import AscentState, Octave
from worker.dreaming.reference_images import ReferenceImages
from worker.networks.network import to_picture, to_pixels

#: Weights of red, green and blue in luma (ITU-R BT.601).
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)

#: Rows to composite at a time, so that memory never holds several float copies of a large dream.
BAND_ROWS = 256


class CanvasFit:
    """Photos that share a canvas and a size on it."""

    def __init__(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        reference_images: ReferenceImages,
        toning: Toning | None = None,
        full_photo_loaders: Sequence[Callable[[], Pixels]] = (),
        change: Change | None = None,
    ) -> None:
        """Scale and pad photos, (height, width, 3) uint8 each.

        toning: how the photos are toned before the first step. full_photo_loaders: return the same photos in full, for
        dreams that are larger; one for each photo, or none at all. change: of the only photo, with which its ascent
        begins, (height, width, 3) float32. Raises ValueError if the photos differ in size on the canvas, and
        ArtDreamError if the mask cannot be loaded.
        """
        height, width, _ = photos[0].shape
        if len({scale_to_canvas(photo.shape[1], photo.shape[0], recipe.canvas) for photo in photos}) > 1:
            raise ValueError("Photos that dream together are of one size on their canvas.")
        self.canvas: Canvas = choose_canvas(width, height, recipe.canvas)
        size = scale_to_canvas(width, height, recipe.canvas)
        top, left = (self.canvas.height - size.height) // 2, (self.canvas.width - size.width) // 2
        margins = ((top, self.canvas.height - size.height - top), (left, self.canvas.width - size.width - left))
        crop = (slice(top, top + size.height), slice(left, left + size.width))

        self._given_photos, self._full_photo_loaders = photos, full_photo_loaders
        self._full_size = scale_to_canvas(width, height, max(recipe.size or 0, recipe.canvas))
        #: The photos at the size of their frames.
        self.frame_photos = [_resize(photo, size) for photo in photos]
        self._padded_photos = [np.pad(photo, (*margins, (0, 0)), mode="symmetric") for photo in self.frame_photos]
        self._crop = (slice(None), *crop)
        self._margins = margins
        self._toning = toning
        self._from_noise = recipe.start == "noise"
        self._keep_colors = recipe.keep_colours
        self._brush = recipe.brush
        self._people_masks: list[PeopleMask] = []
        #: On the padded canvas, (1 or photos, height, width, 1) float32 in [0, 1]; None if all pixels may change.
        self._mask: NDArray[np.float32] | None = None
        masks: list[NDArray[np.float32]] = []
        if isinstance(recipe.mask, People):
            self._people_masks = [PeopleMask(recipe.mask, photo, change) for photo in self.frame_photos]
            masks = self._render_people_masks(self.frame_photos)
        elif recipe.mask is not None:
            masks = [render_mask(recipe.mask, size.height, size.width, reference_images)]
        if masks:
            self._mask = np.stack([np.pad(mask, margins, mode="symmetric") for mask in masks])[..., None]

    @property
    def people_seen(self) -> list[bool]:
        """Whether people are seen in each photo; empty if the recipe does not ask for people."""
        return [mask.people_seen for mask in self._people_masks]

    @cached_property
    def photos(self) -> list[Pixels]:
        """The photos at the size of their dreams; the first frame does not wait for them."""
        photos = self._given_photos
        if self._full_photo_loaders:  # photos of one batch may be of different sizes
            photos = [
                load() if self._full_size.width > photo.shape[1] else photo
                for photo, load in zip(photos, self._full_photo_loaders, strict=True)
            ]
        return [_resize(photo, self._full_size) for photo in photos]

    def resize_photos(self, octave: Octave) -> NDArray[np.float32]:
        """Return the padded photos at the size of an octave: (batch, height, width, 3) float32 in [-1, 1]."""
        size = Canvas(octave.width, octave.height)
        return np.concatenate([to_picture(_resize(photo, size)) for photo in self._padded_photos])

    def resize_mask(self, octave: Octave) -> NDArray[np.float32]:
        """Return where pixels may change: (1, 1, 1, 1), or (1 or batch, height, width, 1), float32, 0 or 1.

        How far they change is decided once, when the dream is composited.
        """
        if self._mask is None:
            return np.ones((1, 1, 1, 1), np.float32)
        return (np.asarray(resize(self._mask, octave.height, octave.width)) > 0).astype(np.float32)

    def tone(self, photos: Tensor, mask: NDArray[np.float32]) -> Tensor:
        """Return the photos of an octave as the ascent starts with them, toned within their mask."""
        if self._toning is None:
            return photos
        toned = [
            tone_photo(photo, palette, self._toning.share)
            for photo, palette in zip(np.asarray(photos), self._toning.palettes, strict=True)
        ]
        return photos + (np.stack(toned) - photos) * mask

    def pad_change(self, change: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change of a single photo at the size of its frames, (height, width, 3), padded as the photo is."""
        return np.pad(change, (*self._margins, (0, 0)), mode="symmetric")[None]

    def crop_change(self, change: Tensor) -> NDArray[np.float32]:
        """Return what `pad_change` pads, given the change of a single photo on its canvas."""
        return np.asarray(change[self._crop][0])

    def composite(self, state: AscentState, photos: Sequence[Pixels]) -> list[Pixels] | None:
        """Return the dreams at a state of the ascent; None if any value is not finite.

        photos: `frame_photos` or `photos`, whose size the dreams get.
        """
        height, width, _ = photos[0].shape
        octave_changes = state.pictures if self._from_noise else state.change  # from noise, the picture itself
        changes = self._enlarge(octave_changes, height, width)
        dreams = [np.empty_like(photo) for photo in photos]
        for photo, change, mask, dream in zip(photos, changes, self._fit_masks(photos), dreams, strict=True):
            for start in range(0, height, BAND_ROWS):
                rows = slice(start, start + BAND_ROWS)
                if not np.isfinite(change[rows]).all():
                    return None
                dream[rows] = self._composite_band(photo[rows], change[rows], None if mask is None else mask[rows])
        return dreams

    def apply_brush(self, dreams: Sequence[Pixels]) -> list[Pixels]:
        """Return dreams at the size of the photos in dabs of the recipe's size, where the mask lets them change."""
        radius = self._brush / 2 * max(dreams[0].shape)
        brushed = [apply_kuwahara_filter(dream, radius) for dream in dreams]
        photos = self.frame_photos if dreams[0].shape == self.frame_photos[0].shape else self.photos
        return [
            change if mask is None else (dream + mask * (change.astype(np.int16) - dream)).round().astype(np.uint8)
            for dream, change, mask in zip(dreams, brushed, self._fit_masks(photos), strict=True)
        ]

    def _render_people_masks(self, photos: Sequence[Pixels]) -> list[NDArray[np.float32]]:
        return [mask.render(photo) for mask, photo in zip(self._people_masks, photos, strict=True)]

    def _fit_masks(self, photos: Sequence[Pixels]) -> Sequence[NDArray[np.float32] | None]:
        """Return the masks of photos at their size, (height, width, 1) each; None if all pixels may change."""
        if self._mask is None:
            return [None] * len(photos)
        if self._people_masks and photos[0].shape != self.frame_photos[0].shape:
            return [mask[..., None] for mask in self._render_people_masks(photos)]
        masks = self._enlarge(self._mask, *photos[0].shape[:2])
        return [*masks] if len(masks) == len(photos) else [masks[0]] * len(photos)

    def _enlarge(self, pictures: Tensor, height: int, width: int) -> NDArray[np.float32]:
        """Resize pictures of the padded canvas, at the size of any octave, to the size of the photos."""
        on_canvas = resize(pictures, self.canvas.height, self.canvas.width)[self._crop]
        return np.asarray(on_canvas if on_canvas.shape[1:3] == (height, width) else resize(on_canvas, height, width))

    def _composite_band(self, photo: Pixels, change: NDArray[np.float32], mask: NDArray[np.float32] | None) -> Pixels:
        """Return a band of a dream, from the same rows of its photo, of its change and of its mask."""
        if self._from_noise:
            return to_pixels(change[None])
        if self._keep_colors:
            change = (change @ LUMA_WEIGHTS)[..., None]
        if mask is not None:
            change = change * mask
        return to_pixels(to_picture(photo) + change)


def _resize(pixels: Pixels, size: Canvas) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
