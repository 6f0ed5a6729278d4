"""A double of Apple's ImageIO and its bindings: the calls that the producer makes, carried out by libheif and Pillow.

It cannot show what a Mac does. It shows that the producer uses what it gets, and only if it agrees with libheif.
"""

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import pillow_heif
import pytest
from PIL import Image

from producer.decoding import apple_imageio


class Source(NamedTuple):
    """A `CGImageSource`."""

    data: bytes
    #: Whether all of the file is there.
    complete: bool


class Context(NamedTuple):
    """A `CGContext`: rows of four bytes per pixel, each longer by `PADDING` bytes, as a Mac aligns them."""

    size: tuple[int, int]
    rows: list[bytes]


PADDING = 12


class QuartzDouble(ModuleType):
    """The module `Quartz`. `distort` changes each picture that is decoded; `accepts_half` decodes damaged files."""

    kCGImageSourceCreateThumbnailFromImageAlways = "always"
    kCGImageSourceCreateThumbnailWithTransform = "transform"
    kCGImageSourceThumbnailMaxPixelSize = "side"
    kCGImageStatusComplete = 0
    kCGImageAlphaNoneSkipLast = 5
    kCGBitmapByteOrder32Big = 4 << 12

    def __init__(self, distort: Callable[[Image.Image], Image.Image] | None = None, *, accepts_half: bool = False):
        super().__init__("Quartz")
        self._distort, self._accepts_half = distort, accepts_half
        #: Long side of each picture that was decoded.
        self.decoded_sides: list[int] = []

    def CFDataCreate(self, allocator: None, data: bytes, length: int) -> bytes:
        assert allocator is None
        return data[:length]

    def CGImageSourceCreateWithData(self, data: bytes, options: None) -> Source | None:
        with contextlib.suppress(Exception):
            pillow_heif.open_heif(io.BytesIO(data))
            return Source(data, complete=True)
        return Source(data, complete=False) if self._accepts_half else None

    def CGImageSourceGetPrimaryImageIndex(self, source: Source) -> int:
        return 0

    def CGImageSourceGetStatusAtIndex(self, source: Source, index: int) -> int:
        return self.kCGImageStatusComplete

    def CGImageSourceCreateThumbnailAtIndex(
        self, source: Source, index: int, options: dict[str, int]
    ) -> Image.Image | None:
        assert (index, options["always"], options["transform"]) == (0, True, True)
        if not source.complete:
            return Image.new("RGB", (144, 192))
        try:
            heif = pillow_heif.open_heif(io.BytesIO(source.data))
            image = Image.frombytes(heif.mode, heif.size, bytes(heif.data), "raw", heif.mode, heif.stride)
        except Exception:
            return None
        image.thumbnail((options["side"], options["side"]), Image.Resampling.HAMMING)
        self.decoded_sides.append(max(image.size))
        return self._distort(image) if self._distort else image

    def CGImageGetWidth(self, image: Image.Image) -> int:
        return image.width

    def CGImageGetHeight(self, image: Image.Image) -> int:
        return image.height

    def CGImageGetColorSpace(self, image: Image.Image) -> str:
        return "the color space of the picture"

    def CGBitmapContextCreate(
        self, data: None, width: int, height: int, bits: int, stride: int, color_space: str, bitmap_info: int
    ) -> Context:
        assert (data, bits, stride, color_space) == (None, 8, 0, "the color space of the picture")
        assert bitmap_info == self.kCGImageAlphaNoneSkipLast | self.kCGBitmapByteOrder32Big
        return Context((width, height), [])

    def CGRectMake(self, *rectangle: int) -> tuple[int, ...]:
        return rectangle

    def CGContextDrawImage(self, context: Context, rectangle: tuple[int, ...], image: Image.Image) -> None:
        assert rectangle == (0, 0, *context.size) == (0, 0, *image.size)
        data, stride = image.convert("RGBX").tobytes(), 4 * image.width
        context.rows.extend(data[start : start + stride] + bytes(PADDING) for start in range(0, len(data), stride))

    def CGBitmapContextCreateImage(self, context: Context) -> Context:
        return context

    def CGImageGetDataProvider(self, image: Context) -> Context:
        return image

    def CGDataProviderCopyData(self, provider: Context) -> bytes:
        return b"".join(provider.rows)

    def CGImageGetBytesPerRow(self, image: Context) -> int:
        return len(image.rows[0])


@contextlib.contextmanager
def installed(quartz: QuartzDouble) -> Iterator[QuartzDouble]:
    """Install a double as `Quartz`, with pyobjc's `objc` beside it, in what is then like a new decoder process."""
    objc = ModuleType("objc")
    objc.autorelease_pool = contextlib.nullcontext  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "Quartz", quartz)
        patch.setitem(sys.modules, "objc", objc)
        apple_imageio._load_quartz.cache_clear()
        yield quartz
    apple_imageio._load_quartz.cache_clear()
