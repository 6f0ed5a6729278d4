"""Chromium's fake camera, which sees a picture of the tests, and how much a painting differs from another."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser

from artdream.sample import read_sample
from display.mirror.stylizer import Pixels
from producer.decoding.convert import convert
from tests.browser import launch_chromium
from tests.pictures import encode_jpeg
from tools.sample_photo.person import draw_person

#: Pixels of what the camera sees.
CAMERA_SIZE = (640, 480)

#: A name that leads to this machine, but which browsers do not trust as they trust localhost.
INSECURE_HOST = "mirror.test"


@cache
def read_scene() -> Pixels:
    """Return what the camera sees: a person before the sample photo, left of the middle, which nothing can write to."""
    photo = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize(CAMERA_SIZE, Image.Resampling.LANCZOS)
    return np.asarray(draw_person(photo, x=0.42, scale=0.9))


def to_jpeg(pixels: Pixels) -> bytes:
    return encode_jpeg(Image.fromarray(pixels))


@contextmanager
def launch_chromium_with_camera(folder: Path) -> Iterator[Browser]:
    """Start Chromium with the fake camera, which every page may use."""
    file = folder / "camera.mjpeg"
    file.write_bytes(to_jpeg(read_scene()))
    arguments = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
        f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
    ]
    with launch_chromium(arguments=arguments) as browser:
        yield browser


#: Arguments of a browser whose camera no page may use, and of one that has no camera.
DENIED_CAMERA = ("--use-fake-ui-for-media-stream=deny", "--use-fake-device-for-media-stream")
NO_CAMERA = ("--use-fake-ui-for-media-stream",)


def measure_difference(one: Pixels, other: Pixels) -> float:
    """Return the mean difference of two pictures, in levels, whatever their sizes."""
    small = [
        np.asarray(Image.fromarray(each).resize((96, 72), Image.Resampling.BOX), np.float32) for each in (one, other)
    ]
    return float(np.abs(small[0] - small[1]).mean())
