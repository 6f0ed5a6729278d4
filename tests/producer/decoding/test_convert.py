"""Conversion: any picture becomes an upright sRGB JPEG of limited size without metadata."""

import contextlib
import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from PIL.ExifTags import Base

from producer.decoding.color_space import HLG, PQ
from producer.decoding.convert import DREAM_CAMERA, TRANSPARENCY_BACKGROUND, Photo, convert
from producer.decoding.formats import Truncated, Unreadable
from producer.decoding.limits import DEFAULT_LIMITS
from producer.decoding.pool import limits_from_settings
from shared.provenance.embedding import embed, read_statement
from shared.provenance.statement import Statement
from shared.recipe.canvas import MAX_PHOTO_SIDE, fit_photo
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.decoding.heic_files import encode_grid
from tests.producer.icc_profiles import convert_p3_to_srgb, make_display_p3_profile

#: EXIF orientation → transform of the stored rows and columns to the upright picture (EXIF 2.32, tag 274).
UPRIGHT_TRANSFORMS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda rows: rows,
    2: np.fliplr,
    3: lambda rows: np.rot90(rows, 2),
    4: np.flipud,
    5: lambda rows: np.swapaxes(rows, 0, 1),
    6: lambda rows: np.rot90(rows, -1),
    7: lambda rows: np.swapaxes(np.rot90(rows, 2), 0, 1),
    8: np.rot90,
}
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"]


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "HEIF":
        pillow_heif.from_pillow(picture).save(buffer, quality=95, enc_params={"preset": "ultrafast"}, **options)
    else:
        picture.save(buffer, kind, **({"quality": 95} if kind in ("JPEG", "WEBP", "AVIF") else {}), **options)
    return buffer.getvalue()


def read_pixels(photo: Photo) -> np.ndarray:
    """Return a photo's pixels: (height, width, 3) int in [0, 255]."""
    with Image.open(io.BytesIO(photo.jpeg)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (photo.width, photo.height))
        return np.asarray(image).astype(int)


def is_similar(photo: Photo, picture: Image.Image, *, tolerance: float = 6) -> bool:
    """Return whether the mean absolute difference of a photo and a picture is below the tolerance, 0 to 255."""
    pixels = read_pixels(photo)
    return (
        pixels.shape == (picture.height, picture.width, 3) and np.abs(pixels - np.asarray(picture)).mean() < tolerance
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_of_file_shows_the_same_picture(kind: str) -> None:
    picture = make_picture(1, (320, 200))
    assert is_similar(convert(encode(picture, kind)), picture)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright_exactly_once(kind: str, orientation: int) -> None:
    stored = make_picture(2, (320, 200))
    exif = Image.Exif()
    exif[274] = orientation
    file = encode(stored, kind, exif=exif.tobytes())
    assert is_similar(convert(file), Image.fromarray(UPRIGHT_TRANSFORMS[orientation](np.asarray(stored))))


@pytest.mark.parametrize("size", [(1601, 1041), (3000, 4), (4, 3000), (1537, 96)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_heic_shrinks_as_any_other_file_does(size: tuple[int, int], mode: str) -> None:
    picture = Image.effect_noise((size[0] // 4 + 1, size[1] // 4 + 1), 80).resize(size).convert(mode)
    shrunk = read_pixels(convert(encode(picture, "PNG")))
    assert is_similar(convert(encode(picture, "HEIF")), Image.fromarray(shrunk.astype(np.uint8)), tolerance=4)


@cache
def encode_large(kind: str) -> bytes:
    return encode(make_picture(3, (1800, 2400)), kind)


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG"])
def test_a_large_picture_is_shrunk_to_the_largest_canvas(kind: str) -> None:
    photo = convert(encode_large(kind))
    assert (photo.width, photo.height) == (MAX_PHOTO_SIDE * 3 // 4, MAX_PHOTO_SIDE)
    assert is_similar(photo, make_picture(3, (MAX_PHOTO_SIDE * 3 // 4, MAX_PHOTO_SIDE)))


@pytest.mark.parametrize(("photo_side", "canvas", "side"), [(1024, 640, 1024), (768, 640, 768), (768, 1024, 1024)])
@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG"])
def test_a_picture_is_shrunk_as_the_operator_wishes_but_no_recipe_is_short_of_pixels(
    kind: str, photo_side: int, canvas: int, side: int
) -> None:
    recipes = [load_recipe("animals"), load_recipe("animals").model_copy(update={"canvas": canvas})]
    small = convert(encode_large(kind), limits_from_settings(Settings(photo_side=photo_side, _env_file=None), recipes))
    assert (small.width, small.height) == (side * 3 // 4, side)
    assert is_similar(small, make_picture(3, (side * 3 // 4, side)))


@pytest.mark.parametrize("kind", ["JPEG", "HEIF"])
def test_a_photo_has_a_smaller_one_that_is_enough_for_its_canvas(kind: str) -> None:
    limits = limits_from_settings(Settings(photo_side=1536, _env_file=None), [load_recipe("animals")])
    photo = convert(encode_large(kind), limits)
    assert (photo.width, photo.height) == (1152, 1536)
    with Image.open(io.BytesIO(photo.working_jpeg)) as working_photo:
        assert working_photo.size == (480, 640)
        expected = make_picture(3, working_photo.size)
        assert np.abs(np.asarray(working_photo).astype(int) - np.asarray(expected)).mean() < 6


def test_a_photo_no_larger_than_its_canvas_has_no_smaller_one() -> None:
    limits = limits_from_settings(Settings(photo_side=1536, _env_file=None), [load_recipe("animals")])
    assert not convert(encode(make_picture(3, (640, 480)), "PNG"), limits).working_jpeg


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 3000), (3000, 2), (7, 5), (MAX_PHOTO_SIDE, MAX_PHOTO_SIDE), (MAX_PHOTO_SIDE + 1, 1)]
)
def test_no_size_is_odd_enough_to_fail_and_none_is_enlarged(size: tuple[int, int]) -> None:
    photo = convert(encode(make_picture(4, size), "PNG"))
    assert (photo.width, photo.height) == fit_photo(*size, MAX_PHOTO_SIDE)
    assert read_pixels(photo).size


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG", "TIFF"])
def test_colours_of_a_wide_profile_arrive_in_srgb(kind: str) -> None:
    colour = (200, 110, 90)
    expected = convert_p3_to_srgb(colour)
    assert np.abs(np.subtract(expected, colour)).max() > 10  # ignoring the profile must fail the test
    photo = convert(encode(Image.new("RGB", (64, 64), colour), kind, icc_profile=make_display_p3_profile()))
    assert np.abs(read_pixels(photo).mean(axis=(0, 1)) - expected).max() < 3


def test_a_broken_profile_costs_the_colours_only() -> None:
    picture = make_picture(5)
    assert is_similar(convert(encode(picture, "JPEG", icc_profile=b"nonsense" * 40)), picture)


def test_a_profile_for_another_kind_of_picture_is_passed_over() -> None:
    picture = make_picture(5).convert("L")
    assert is_similar(convert(encode(picture, "PNG", icc_profile=make_display_p3_profile())), picture.convert("RGB"))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF", "TIFF"])
def test_grey_shows_where_a_picture_is_transparent(kind: str) -> None:
    picture = make_picture(6, (64, 64)).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 32, 64))
    pixels = read_pixels(convert(encode(picture, kind)))
    assert np.abs(pixels[8:-8, 8:24] - TRANSPARENCY_BACKGROUND).max() < 12
    assert np.abs(pixels[8:-8, 40:56] - np.asarray(picture)[8:-8, 40:56, :3]).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16"])
def test_other_ways_to_store_colour_are_understood(mode: str) -> None:
    grey = make_picture(7, (96, 64)).convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "1":
        picture, grey = grey.convert("1"), grey.convert("1").convert("L")
    else:
        picture = (grey.convert("RGB") if mode == "CMYK" else grey).convert(mode)
    assert is_similar(convert(encode(picture, "TIFF" if mode == "CMYK" else "PNG")), grey.convert("RGB"), tolerance=12)


def test_a_palette_may_be_partly_transparent() -> None:
    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.paste(0, (0, 0, 16, 32))
    pixels = read_pixels(convert(encode(picture, "PNG", transparency=0)))
    assert np.abs(pixels[4:-4, 2:12] - TRANSPARENCY_BACKGROUND).max() < 12
    assert np.abs(pixels[4:-4, 20:30] - (0, 0, 255)).max() < 12


def test_nothing_is_told_about_place_time_or_phone() -> None:
    exif = Image.Exif()
    exif[271] = "Secret Phone"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>secret place</x:xmpmeta>"
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "secret text")
    files = [
        encode(
            make_picture(8),
            "JPEG",
            exif=exif,
            xmp=xmp,
            comment=b"secret comment",
            icc_profile=make_display_p3_profile(),
        ),
        encode(make_picture(8), "HEIF", exif=exif.tobytes(), xmp=xmp, icc_profile=make_display_p3_profile()),
        encode(make_picture(8), "PNG", exif=exif, pnginfo=text, icc_profile=make_display_p3_profile()),
        encode(make_picture(8), "WEBP", exif=exif.tobytes(), xmp=xmp, icc_profile=make_display_p3_profile()),
    ]
    for file in files:
        assert b"ecret" in file
        photo = convert(file)
        assert list_segments(photo.jpeg) <= {0xE0, 0xDB, 0xC0, 0xC4, 0xDA}  # JFIF, tables, size, codes, pixels
        assert b"ecret" not in photo.jpeg


def list_segments(file: bytes) -> set[int]:
    """Return the marker bytes of a JPEG file's segments."""
    offset, markers = 2, set()
    while file[offset + 1] != 0xDA:
        markers.add(file[offset + 1])
        offset += 2 + struct.unpack_from(">H", file, offset + 2)[0]
    return markers | {0xDA}


def test_the_same_bytes_make_the_same_photo() -> None:
    file = encode_heic(make_picture(9))
    assert convert(file) == convert(file)
    assert convert(file).photo_id != convert(encode_heic(make_picture(10))).photo_id


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "is empty"),
        (b"Dear guest,\nthis is no photo.\n", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is not a picture"),
        (struct.pack(">I", 20) + b"ftypqt  \0\0\0\0qt  " + bytes(100), "is damaged: the file ends too early"),
        (encode_heic(make_picture(11))[:2000], "is damaged: "),
        (encode_jpeg(make_picture(11))[:5000], "is damaged: the file ends too early"),
        (encode(make_picture(11), "PNG")[:5000], "is damaged: "),
        (encode(make_picture(11), "WEBP")[:900], "is damaged: "),
        (b"\xff\xd8\xff" + bytes(3000), "is damaged: "),
    ],
    ids=["empty", "text", "postscript", "film", "cut HEIC", "cut JPEG", "cut PNG", "cut WebP", "zeros"],
)
def test_what_is_no_picture_is_refused_in_words_for_everybody(file: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        convert(file)
    assert str(refusal.value).startswith(reason)
    assert not any(fragment in str(refusal.value) for fragment in ("Error", "0x", "libheif", "<", "\n"))


def test_a_small_file_that_claims_to_be_giant_is_refused_before_it_is_decoded() -> None:
    side = int((DEFAULT_LIMITS.max_megapixels * 1_000_000) ** 0.5) + 2
    bomb = encode(Image.new("1", (side, side)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(Unreadable, match="is too large: 120 megapixels, at most 120 are taken"):
        convert(bomb)


def test_a_jpeg_is_measured_by_what_is_decoded_of_it_and_a_progressive_one_by_all_that_its_decoder_holds() -> None:
    """Seen failing: 200 megapixels, which phones make, were refused though an eighth of each side is decoded."""
    limits = DEFAULT_LIMITS._replace(max_megapixels=5, max_side=640)
    picture = make_picture(3, (3200, 2400))
    assert is_similar(convert(encode(picture, "JPEG"), limits), make_picture(3))
    with pytest.raises(Unreadable, match="is too large: 8 megapixels, at most 5 are taken"):
        convert(encode(picture, "JPEG", progressive=True), limits)


@pytest.mark.parametrize("kind", ["JPEG", "HEIF", "PNG"])
def test_a_panorama_keeps_enough_pixels_to_be_looked_at(kind: str) -> None:
    photo = convert(
        encode(make_picture(3, (3600, 900)), kind), DEFAULT_LIMITS._replace(max_side=1024, working_side=640)
    )
    assert is_similar(photo, make_picture(3, (2048, 512)))
    with Image.open(io.BytesIO(photo.working_jpeg)) as working_photo:
        assert working_photo.size == (1280, 320)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_damage_does_more_than_spoil_the_picture(kind: str) -> None:
    data, rng = encode(make_picture(12, (160, 120)), kind), random.Random(kind)
    for _ in range(40):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 20)):
            broken[rng.randrange(12, len(broken))] = rng.randrange(256)
        with contextlib.suppress(Unreadable):
            assert convert(bytes(broken)).jpeg


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("mode", ["RGB;16", "RGBA;16"])
def test_a_heic_of_many_bits_shows_the_same_picture(mode: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    picture, file = make_picture(5, (320, 200)), io.BytesIO()
    pixels = np.asarray(picture.convert(mode.partition(";")[0])).astype(np.uint16) * 257
    pillow_heif.encode(mode, picture.size, pixels.tobytes(), file, quality=95)
    heif = pillow_heif.open_heif(io.BytesIO(file.getvalue()), convert_hdr_to_8bit=False)
    assert heif.info["bit_depth"] == bits
    assert is_similar(convert(file.getvalue()), picture)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_png_of_sixteen_bits_shows_the_same_picture(channels: int) -> None:
    picture = make_picture(5, (320, 200))
    pixels = (np.asarray(picture.convert("RGBA"))[..., :channels].astype(">u2") * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">2I5B", *picture.size, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        file += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    assert is_similar(convert(file), picture, tolerance=1.5)


def test_a_tiff_of_sixteen_bits_shows_the_same_picture() -> None:
    picture = make_picture(5, (320, 200))
    pixels = (np.asarray(picture).astype("<u2") * 257).tobytes()
    entries = [(256, 4, 1, 320), (257, 4, 1, 200), (258, 3, 3, 0), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 0)]
    entries += [(277, 3, 1, 3), (278, 4, 1, 200), (279, 4, 1, len(pixels))]
    value_start = 8 + 2 + 12 * len(entries) + 4
    values = {258: value_start, 273: value_start + 6}
    table = b"".join(struct.pack("<HHII", tag, kind, n, values.get(tag, value)) for tag, kind, n, value in entries)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    file = head + table + bytes(4) + struct.pack("<3H", 16, 16, 16) + pixels
    assert is_similar(convert(file), picture, tolerance=1.5)


def test_a_progressive_jpeg_shows_the_same_picture() -> None:
    assert is_similar(convert(encode(make_picture(5), "JPEG", progressive=True)), make_picture(5))


def test_a_jpeg_for_print_shows_the_same_picture() -> None:
    assert is_similar(convert(encode(make_picture(5).convert("CMYK"), "JPEG")), make_picture(5))


@pytest.mark.parametrize("profile", [None, make_display_p3_profile()], ids=["sRGB", "Display P3"])
@pytest.mark.parametrize("kind", ["JPEG", "HEIF"])
def test_a_photo_tells_its_camera_whatever_file_it_comes_in(kind: str, profile: bytes | None) -> None:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Software] = "Apple", "iPhone 12", "17.1.2"
    exif[Base.Orientation] = 6
    file = encode(make_picture(1), kind, exif=exif.tobytes(), icc_profile=profile)
    assert convert(file).camera == "Apple iPhone 12 17.1.2"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_dream_is_known_by_what_its_file_says_whatever_its_kind(kind: str) -> None:
    file = io.BytesIO()
    make_picture(1, (64, 48)).save(file, kind)
    photo, own, other = (
        convert(embed(file.getvalue(), statement) if statement else file.getvalue())
        for statement in (None, Statement.brief(), Statement(program="ArtDreamer 9"))
    )
    assert [picture.camera == DREAM_CAMERA for picture in (photo, own, other)] == [False, True, False]
    for picture in (photo, own, other):
        assert read_statement(picture.jpeg) is None  # a photo says nothing


def test_a_photo_tells_its_camera_and_nothing_else_of_its_metadata() -> None:
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Software] = "Apple", "iPhone 12\x00", "17.1.2\n" + "9" * 200
    photo = convert(encode(make_picture(1), "JPEG", exif=exif))
    assert photo.camera.startswith("Apple iPhone 12 17.1.29")
    assert len(photo.camera) == 80
    assert b"Apple" not in photo.jpeg
    assert convert(encode_jpeg(make_picture(1))).camera == ""


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_file_whose_size_was_set_before_its_content_is_not_whole(kind: str, share: float) -> None:
    """Seen failing with the decoders' word alone: of HEIC, AVIF, WebP and TIFF the part that was there was a photo."""
    file = encode(make_picture(3), kind)
    written = file[: int(len(file) * share)]
    with pytest.raises(Unreadable, match="is damaged"):
        convert(written + bytes(len(file) - len(written)))
    assert convert(file + bytes(4096)).jpeg == convert(file).jpeg


@pytest.mark.parametrize("kind", [*FORMATS, "HEIF in tiles"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_ends_too_early_is_not_whole(kind: str, share: float) -> None:
    """Seen failing with libheif's word alone: of an iPhone's HEIC, the tiles that were there were a photo."""
    file = encode_grid(make_picture(3)) if kind == "HEIF in tiles" else encode(make_picture(3), kind)
    with pytest.raises(Unreadable, match="is damaged"):
        convert(file[: int(len(file) * share)])


def test_a_picture_that_is_black_below_is_taken_when_nothing_more_will_come() -> None:
    picture = make_picture(3)
    picture.paste((0, 0, 0), (0, 300, 640, 480))
    file = encode(picture, "TIFF")
    with pytest.raises(Truncated):
        convert(file)
    assert is_similar(convert(file, allow_truncated=True), picture)


def test_of_a_cut_jpeg_what_is_there_is_taken_only_when_nothing_more_will_come() -> None:
    data = encode_jpeg(make_picture(1))
    four_fifths, quarter = data[: len(data) * 4 // 5], data[: len(data) // 4]
    with pytest.raises(Unreadable, match="ends too early"):
        convert(four_fifths)
    photo = convert(four_fifths, allow_truncated=True)
    assert np.abs(read_pixels(photo)[:200] - np.asarray(make_picture(1)).astype(int)[:200]).mean() < 6
    with pytest.raises(Unreadable, match="less than half"):
        convert(quarter, allow_truncated=True)
    with pytest.raises(Unreadable, match="ends too early"):
        convert(four_fifths)  # the permission does not carry over to the next call


@pytest.mark.parametrize("orientation", range(1, 9))
def test_half_of_a_cut_jpeg_is_half_of_what_lies_in_the_file_however_it_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    data = encode(make_picture(1), "JPEG", exif=exif)
    with pytest.raises(Unreadable, match="less than half"):
        convert(data[: len(data) // 4], allow_truncated=True)
    assert convert(data[: len(data) * 4 // 5], allow_truncated=True).jpeg


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_light_beyond_white_is_brought_down_and_the_order_of_brightness_kept(transfer: int) -> None:
    steps = np.linspace(0, 255, 64).astype(np.uint8)
    image = Image.fromarray(np.broadcast_to(steps[None, :, None], (64, 64, 3)).copy())
    data = encode(image, "HEIF", color_primaries=9, transfer_characteristics=transfer, matrix_coefficients=9)
    row = read_pixels(convert(data))[32].mean(axis=1)
    assert (np.diff(row) >= -1).all()
    assert row[0] < 3
    middle = row[np.abs(steps - {PQ: 148, HLG: 191}[transfer]).argmin()]  # reference white: 58 % of PQ, 75 % of HLG
    assert 235 <= middle < 242
    assert row[-1] > middle + 10


def test_a_whole_picture_that_is_flat_below_is_no_cut_one() -> None:
    flat = Image.new("RGB", (640, 480), (20, 40, 60))
    flat.paste(make_picture(1, (640, 100)), (0, 0))
    for kind in FORMATS:
        assert is_similar(convert(encode(flat, kind), allow_truncated=True), flat)


def test_a_motion_photo_shows_its_picture_whatever_film_hangs_on_it() -> None:
    video = b"\x00\x00\x00\x18ftypmp42" + bytes(200_000)
    assert is_similar(convert(encode_jpeg(make_picture(3)) + video), make_picture(3))


def test_of_several_pictures_in_one_heic_the_primary_is_taken() -> None:
    file = pillow_heif.HeifFile()
    for seed in (1, 2, 3):
        file.add_from_pillow(make_picture(seed, (320, 240)))
    buffer = io.BytesIO()
    file.save(buffer, quality=95, primary_index=1)
    photo = convert(buffer.getvalue())
    assert is_similar(photo, make_picture(2, (320, 240)))
    assert not is_similar(photo, make_picture(1, (320, 240)))
