"""A short video becomes a photo, its key frame, and moving pictures that can be dreamt."""

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter

from producer.decoding.convert import DREAM_CAMERA, Photo, convert
from producer.decoding.formats import NotAPicture, Unreadable
from producer.decoding.limits import DEFAULT_LIMITS, Limits
from producer.decoding.pool import DecoderPool
from producer.decoding.process import parse_photo
from producer.decoding.video import LIVE_PHOTO_KEY, RATE, is_video
from tests.pictures import encode_heic
from tests.producer.decoding.videos import decode_pictures, encode_video, make_moving_pictures, set_matrix
from worker.clips.animations import Morph
from worker.clips.video_encoder import encode_mp4

RED, GREEN, BLUE, GREY = (200, 40, 40), (40, 180, 40), (40, 40, 200), (90, 90, 90)
PICTURES = make_moving_pictures()


def open_photo(photo: Photo) -> Image.Image:
    return Image.open(io.BytesIO(photo.jpeg))


def read_corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """Return the colours of the corners: top left, top right, bottom left, bottom right."""
    width, height = picture.size
    places = [(x, y) for y in (height // 8, height * 7 // 8) for x in (width // 8, width * 7 // 8)]
    return [picture.getpixel(place) for place in places]  # type: ignore[misc]


def are_alike(colors: list[tuple[int, ...]], expected: list[tuple[int, ...]], tolerance: int = 8) -> bool:
    return all(
        abs(one - other) <= tolerance
        for color, expected_color in zip(colors, expected, strict=True)
        for one, other in zip(color, expected_color, strict=True)
    )


@pytest.mark.parametrize(
    "options", [{}, {"container": "mov"}, {"codec": "libx265"}, {"codec": "libx265", "pixel_format": "yuv420p10le"}]
)
def test_a_video_becomes_a_photo_that_moves(options: dict[str, str]) -> None:
    photo = convert(encode_video(PICTURES, audio=True, **options))  # type: ignore[arg-type]
    assert (photo.width, photo.height) == (320, 240)
    for picture in (open_photo(photo), *decode_pictures(photo.motion)):
        assert are_alike(read_corners(picture), [RED, GREEN, BLUE, GREY])


def test_the_moving_pictures_are_ten_a_second_in_the_size_of_the_canvas() -> None:
    photo = convert(encode_video(make_moving_pictures(60, (1280, 720))))
    with av.open(io.BytesIO(photo.motion)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        stream = container.streams.video[0]
        assert stream.average_rate == RATE
        assert stream.frames == 20
        assert (stream.width, stream.height) == (640, 360)
    assert (photo.width, photo.height) == (1280, 720)


def test_a_video_of_a_phone_held_upright_is_upright() -> None:
    sideways = [picture.transpose(Image.Transpose.ROTATE_90) for picture in PICTURES]
    photo = convert(set_matrix(encode_video(sideways, container="mov"), 0, 1, -1, 0))  # as iPhones write it
    for picture in (open_photo(photo), decode_pictures(photo.motion)[0]):
        assert picture.size == (320, 240)
        assert are_alike(read_corners(picture), [RED, GREEN, BLUE, GREY])


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_each_rotation_is_undone(rotation: int) -> None:
    turned = [picture.rotate(-rotation, expand=True) for picture in PICTURES]
    photo = convert(encode_video(turned, container="mov", rotation=rotation))
    assert are_alike(read_corners(open_photo(photo)), [RED, GREEN, BLUE, GREY])


def test_hdr_is_shown_as_hdr_photos_are() -> None:
    white = [Image.new("RGB", (320, 240), (191, 191, 191))] * 10  # HLG's reference white is 75 % of the signal
    photo = convert(encode_video(white, codec="libx265", pixel_format="yuv420p10le", colors=(9, 18, 9)))
    for picture in (open_photo(photo), decode_pictures(photo.motion)[0]):
        assert min(picture.getpixel((160, 120))) >= 235  # type: ignore[arg-type]


def test_colours_of_a_wide_gamut_are_those_of_the_photo() -> None:
    photo = convert(encode_video(PICTURES, colors=(12, 1, 1)))
    red = open_photo(photo).getpixel((20, 20))
    assert red[0] > 210  # type: ignore[index]
    assert red[1] < 20  # type: ignore[index]


def test_frames_that_last_longer_do_so() -> None:
    times = [0.0, 0.05, 0.1, 1.5, 1.55]
    photo = convert(encode_video(make_moving_pictures(5), times=times))
    assert len(decode_pictures(photo.motion)) == 16


def test_the_photo_is_the_sharpest_picture_near_the_middle() -> None:
    sharp = make_moving_pictures(30)
    pictures = [
        picture if number in (0, 14, 15, 16, 29) else picture.filter(ImageFilter.GaussianBlur(4))
        for number, picture in enumerate(sharp)
    ]
    photo = convert(encode_video(pictures, rate=10))
    ball = [x for x in range(320) if open_photo(photo).getpixel((x, 120))[0] > 200]  # type: ignore[index]
    assert 130 <= sum(ball) / len(ball) <= 195


def test_neither_sound_nor_position_are_kept() -> None:
    metadata = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.model": "iPhone 15",
        "com.apple.quicktime.location.ISO6709": "+48.1374+011.5755/",
    }
    video = encode_video(PICTURES, container="mov", metadata=metadata, audio=True)
    assert b"+48.1374" in video
    photo = convert(video)
    assert photo.camera == "Apple iPhone 15"
    assert b"48.1374" not in photo.motion + photo.jpeg
    assert b"iPhone" not in photo.motion + photo.jpeg


def test_the_video_of_a_live_photo_is_known_by_its_identifier() -> None:
    metadata = {LIVE_PHOTO_KEY: "5C1F4C6B-6A3E-4C57-9C07-3A1B0D3F2A11"}
    assert convert(encode_video(PICTURES, container="mov", metadata=metadata)).is_live_photo_video
    assert not convert(encode_video(PICTURES, container="mov")).is_live_photo_video


def test_the_clip_of_a_dream_is_known_as_a_dream() -> None:
    clip = encode_mp4(Morph([np.asarray(picture) for picture in PICTURES[:2]]))
    assert convert(clip).camera == DREAM_CAMERA


def test_a_large_video_has_a_working_photo() -> None:
    photo = convert(encode_video(make_moving_pictures(3, (1280, 720))), Limits(working_side=640))
    assert Image.open(io.BytesIO(photo.working_jpeg)).size == (640, 360)


def test_a_video_of_odd_sides_is_one() -> None:
    odd = [picture.resize((318, 242)) for picture in make_moving_pictures(3)]
    assert decode_pictures(convert(encode_video(odd), Limits(max_side=255, working_side=255)).motion)


def test_a_single_picture_is_a_video() -> None:
    assert len(decode_pictures(convert(encode_video(PICTURES[:1])).motion)) == 1


def refuse(video: bytes, limits: Limits = DEFAULT_LIMITS) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        convert(video, limits)
    assert raised.value.cause is not None
    return raised.value


def test_a_long_video_is_refused_and_is_no_picture() -> None:
    error = refuse(encode_video(make_moving_pictures(12), rate=1))
    assert str(error) == "is a video of 12 s: at most 10 s are taken"
    assert error.cause is not None
    assert (error.cause.code, error.cause.values) == ("too_long", {"most": 10})
    assert isinstance(error, NotAPicture)


def test_a_huge_video_is_refused() -> None:
    error = refuse(encode_video(PICTURES[:2]), DEFAULT_LIMITS._replace(max_megapixels=0))
    assert error.cause is not None
    assert error.cause.code == "too_many_pixels"


def test_a_video_whose_end_is_missing_is_incomplete() -> None:
    video = encode_video(make_moving_pictures(90, (640, 480)))
    for damaged in (video[: len(video) * 2 // 3], video[: len(video) // 2] + bytes(len(video) // 2)):
        error = refuse(damaged)
        assert str(error) == "is damaged: the file ends too early"


def test_a_video_without_the_extra_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    error = refuse(encode_video(PICTURES[:2]))
    assert str(error) == "is a video, and this producer takes photos only: install its extra `video`"
    assert error.cause is not None
    assert error.cause.code == "video"


def test_what_is_no_video_is_none() -> None:
    for data in (b"", b"\0" * 300, b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"\xff\xd8\xff"):
        assert not is_video(data)
    assert refuse(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20)


def test_a_decoder_process_decodes_a_video(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.MOV").write_bytes(encode_video(PICTURES, container="mov"))
    with DecoderPool(1, DEFAULT_LIMITS) as pool:
        photo = pool.submit(tmp_path / "IMG_1.MOV").result().photo_or_error
    assert isinstance(photo, Photo)
    assert len(decode_pictures(photo.motion)) == 10


def test_a_decoder_that_was_taken_over_sends_no_other_file_as_a_video() -> None:
    photo = convert(encode_video(PICTURES[:2]))
    fields = {"photo_id": photo.photo_id, "width": photo.width, "height": photo.height, "camera": ""}
    assert parse_photo(fields, [photo.jpeg, b"", photo.motion]).motion == photo.motion
    with pytest.raises(ValueError, match="no photo"):
        parse_photo(fields, [photo.jpeg, b"", b"<html>" + photo.motion])


@pytest.mark.parametrize("suffix", [".MOV", ".mov"])
def test_a_live_photo_moves_if_that_is_wanted(tmp_path: Path, suffix: str) -> None:
    picture = tmp_path / "IMG_1.HEIC"
    picture.write_bytes(encode_heic(PICTURES[0]))
    picture.with_suffix(suffix).write_bytes(encode_video(PICTURES, container="mov"))
    for live_photos, count in ((False, 0), (True, 10)):
        with DecoderPool(1, DEFAULT_LIMITS._replace(live_photos=live_photos)) as pool:
            photo = pool.submit(picture).result().photo_or_error
        assert isinstance(photo, Photo)
        assert photo.photo_id == convert(picture.read_bytes()).photo_id
        assert (len(decode_pictures(photo.motion)) if photo.motion else 0) == count


def test_a_picture_whose_video_is_damaged_is_a_photo(tmp_path: Path) -> None:
    limits = DEFAULT_LIMITS._replace(live_photos=True)
    picture = tmp_path / "IMG_1.HEIC"
    picture.write_bytes(encode_heic(PICTURES[0]))
    video = encode_video(PICTURES, container="mov")
    with DecoderPool(1, limits) as pool:
        for companion in (b"", b"notes", video[: len(video) // 2], encode_video(make_moving_pictures(12), rate=1)):
            picture.with_suffix(".MOV").write_bytes(companion)
            photo = pool.submit(picture).result().photo_or_error
            assert isinstance(photo, Photo)
            assert photo.motion == b""
