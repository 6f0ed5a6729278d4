"""Where people are in a photo: the probability of each pixel to show somebody.

MediaPipe's selfie segmentation (Apache-2.0), two small networks of Google's, run by OpenCV's own interpreter: on each
backend of Keras the same pixels. Trained on people in front of a camera, they also see pets and whatever else stands
out as one; of a landscape, each sees something else.
"""

import hashlib
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from shared.recipe.canvas import Canvas, scale_to_long_side
from worker.dreamer import Pixels

WEIGHTS_FOLDER = Path(__file__).with_name("selfie_segmentation")


class SegmentationWeights(NamedTuple):
    """One of the networks, and the size of its input in pixels."""

    file: str
    sha256: str
    height: int
    width: int


#: The general network, and that for wide pictures.
WEIGHTS = (
    SegmentationWeights(
        "selfie_segmentation.tflite", "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27", 256, 256
    ),
    SegmentationWeights(
        "selfie_segmentation_landscape.tflite",
        "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
        144,
        256,
    ),
)

#: Pixels: the long side of the probabilities.
LONG_SIDE = 384

#: People are found if the networks, each looking at the photo and its mirror image, agree: the pixels on which all of
#: them agree are this share of those of which any says so, for the people as for their background. It holds for
#: 40 of 44 photos of people, and for none of ten landscapes, interiors and small things.
MIN_AGREEMENT = 0.5

#: Share of the photo that is too little for people.
MIN_SHARE = 0.002

#: Around people who fill less than MAX_CROP_SHARE of the photo's width and height, the networks look again, at a part
#: of the photo that is larger than the people by CROP_MARGIN of its sides.
MAX_CROP_SHARE, CROP_MARGIN, MIN_CROP_MARGIN = 0.75, 0.15, 6

_lock = threading.Lock()  # a video is dreamt in a thread of its own, and a network of OpenCV's keeps its input


def find_people(photo: Pixels) -> NDArray[np.float32] | None:
    """Return the probability of each pixel to show a person: (height, width) float32 in [0, 1]; None if nobody is seen.

    photo: (height, width, 3) uint8 sRGB. The probabilities have the photo's aspect and a long side of LONG_SIDE. Raises
    ArtDreamError if the weights are missing or damaged.
    """
    size = scale_to_long_side(photo.shape[1], photo.shape[0], LONG_SIDE)
    views = _look(photo, size)
    if crop := _find_crop(views):
        closer_views = np.zeros_like(views)
        closer_views[:, *crop] = _look(
            _cut(photo, crop, size), Canvas(*(part.stop - part.start for part in crop[::-1]))
        )
        if _measure_agreement(closer_views) >= MIN_AGREEMENT:
            views = closer_views
    if _measure_agreement(views) < MIN_AGREEMENT:
        return None
    probability: NDArray[np.float32] = views.mean(axis=0)
    return probability if (probability > 0.5).mean() >= MIN_SHARE else None


def _look(picture: Pixels, size: Canvas) -> NDArray[np.float32]:
    """Return the probabilities that each network gives to a picture and to its mirror image: (4, height, width)."""
    with _lock:
        views = [
            _run(network, weights, picture[:, ::step])[:, ::step]
            for network, weights in zip(_load_networks(), WEIGHTS, strict=True)
            for step in (1, -1)
        ]
    return np.stack([cv2.resize(view, size, interpolation=cv2.INTER_LINEAR) for view in views])


def _run(network: cv2.dnn.Net, weights: SegmentationWeights, picture: Pixels) -> NDArray[np.float32]:
    scaled = cv2.resize(picture, (weights.width, weights.height), interpolation=cv2.INTER_AREA)
    network.setInput(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32) / np.float32(255))
    return np.asarray(network.forward()[0, 0], np.float32)


def _find_crop(views: NDArray[np.float32]) -> tuple[slice, slice] | None:
    """Return the rows and columns around what most views take for people; None if that is nothing, or nearly all."""
    is_person = views.mean(axis=0) > 0.5
    crop = []
    for axis in (1, 0):
        places = np.flatnonzero(is_person.any(axis=axis))
        if not places.size:
            return None
        first, last = int(places[0]), int(places[-1]) + 1
        margin = round(CROP_MARGIN * (last - first)) + MIN_CROP_MARGIN
        crop.append(slice(max(0, first - margin), min(is_person.shape[1 - axis], last + margin)))
    rows, columns = crop
    share = max((rows.stop - rows.start) / is_person.shape[0], (columns.stop - columns.start) / is_person.shape[1])
    return (rows, columns) if share <= MAX_CROP_SHARE else None


def _cut(photo: Pixels, crop: tuple[slice, slice], size: Canvas) -> Pixels:
    """Return the part of a photo that lies within some rows and columns of it at another size."""
    scales = photo.shape[0] / size.height, photo.shape[1] / size.width
    return photo[
        tuple(
            slice(round(part.start * scale), round(part.stop * scale)) for part, scale in zip(crop, scales, strict=True)
        )
    ]


def _measure_agreement(views: NDArray[np.float32]) -> float:
    """Return how far views agree on people and on their background, whichever is less: in [0, 1]."""
    is_person = views > 0.5
    return min(float(votes.all(axis=0).sum() / max(1, votes.any(axis=0).sum())) for votes in (is_person, ~is_person))


@cache
def _load_networks() -> tuple[cv2.dnn.Net, ...]:
    return tuple(load_network(WEIGHTS_FOLDER / weights.file, weights.sha256) for weights in WEIGHTS)


def load_network(path: Path, sha256: str) -> cv2.dnn.Net:
    """Load a network with its weights. Raises ArtDreamError if they are missing or have another digest."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): install ArtDream again.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtDreamError(f"The weights {path} are damaged: install ArtDream again.")
    return cv2.dnn.readNetFromTFLite(np.frombuffer(content, np.uint8))
