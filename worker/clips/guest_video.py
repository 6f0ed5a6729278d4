"""A guest's video: its pictures, one of which is the photo."""

import io
from itertools import islice
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from shared.recipe.canvas import scale_to_long_side
from worker.dreamer import Pixels

#: Pictures per second of a guest's video in the store, and the number of those that are dreamt.
VIDEO_RATE, MAX_PICTURES = 10, 100

#: Pixels of the largest picture that is decoded; producers store less.
MAX_PIXELS = 1920 * 1920

#: JPEG quality of pictures that are kept in memory, where they take a tenth of their pixels.
KEPT_QUALITY = 95


class KeptPictures:
    """The pictures of a video by their number, kept in memory as JPEG: (height, width, 3) uint8 sRGB each."""

    def __init__(self) -> None:
        self._jpegs: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._jpegs)

    def __getitem__(self, number: int) -> Pixels:
        with Image.open(io.BytesIO(self._jpegs[number]), formats=["JPEG"]) as picture:
            return np.asarray(picture)

    def __setitem__(self, number: int, picture: Pixels) -> None:
        jpeg = io.BytesIO()
        Image.fromarray(picture).save(jpeg, "JPEG", quality=KEPT_QUALITY, subsampling=0)
        self._jpegs[number] = jpeg.getvalue()


class GuestVideo(NamedTuple):
    """The pictures of a guest's video, VIDEO_RATE per second, of one size; one of them is the photo."""

    pictures: KeptPictures
    #: Number of the photo, from 0.
    key_number: int


def load_video(data: bytes, photo: Image.Image, long_side: int) -> GuestVideo:
    """Load a guest's video, MP4, at a size, and put the photo into the place of the picture that it was taken from.

    long_side: in pixels. Pictures beyond MAX_PICTURES are left out. Raises ArtDreamError if the video is damaged.
    """
    size = scale_to_long_side(photo.width, photo.height, long_side)
    key_picture = np.asarray(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    pictures = KeptPictures()
    differences: list[float] = []
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            context = container.streams.video[0].codec_context
            if context.name != "h264" or context.width * context.height > MAX_PIXELS:
                raise ArtDreamError("The guest's video in the store is none that a producer makes.")
            for frame in islice(container.decode(video=0), MAX_PICTURES):
                picture = np.asarray(
                    Image.fromarray(frame.to_ndarray(format="rgb24")).resize(size, Image.Resampling.LANCZOS)
                )
                pictures[len(pictures)] = picture
                differences.append(float(np.abs(picture.astype(np.int16) - key_picture).mean()))
    except (av.FFmpegError, IndexError) as error:  # an IndexError if it has no video
        raise ArtDreamError("The guest's video in the store is damaged.") from error
    if not differences:
        raise ArtDreamError("The guest's video in the store has no pictures.")
    key_number = int(np.argmin(differences))
    pictures[key_number] = key_picture
    return GuestVideo(pictures, key_number)
