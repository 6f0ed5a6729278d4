"""The project's own sample photo: a HEIC as a phone makes it, painted by `tools.sample_photo.paint`."""

from importlib.resources import files


def read_sample() -> bytes:
    """The sample photo's bytes: a HEIC of 2016 x 1512, upright, sRGB, with EXIF and without a position."""
    return files(__name__).joinpath("lake.heic").read_bytes()
