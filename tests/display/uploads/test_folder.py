"""The folder of uploads: what it takes, and how much."""

import io
from pathlib import Path

from PIL import Image

from display.uploads.folder import UploadFolder, detect_extension
from shared.guest_upload_names import GUEST_UPLOADS_FOLDER
from tests.pictures import encode_heic, make_picture

HEIC_PHOTO = encode_heic(make_picture(41))


def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    upload_folder = UploadFolder(tmp_path, max_file_bytes=10, max_waiting=1)
    folder = tmp_path / GUEST_UPLOADS_FOLDER / "curls"
    folder.mkdir(parents=True)
    assert not upload_folder.is_full
    (folder / f"{'0' * 16}-{'1' * 32}-{'2' * 8}.jpg").write_bytes(b"")
    assert upload_folder.is_full


def test_a_picture_is_told_by_its_beginning() -> None:
    def encode(image_format: str) -> bytes:
        data = io.BytesIO()
        Image.new("RGB", (8, 8)).save(data, image_format)
        return data.getvalue()

    extensions = {
        detect_extension(encode(image_format)[:12]) for image_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")
    } | {detect_extension(HEIC_PHOTO[:12])}
    assert extensions == {"jpg", "png", "webp", "tiff", "avif", "heic"}
    for header in (
        b"\0\0\0\x20ftypisom",
        b"\0\0\0\x14ftypqt  ",
        b"GIF89a......",
        b'<svg xmlns="',
        b"%PDF-1.7....",
        b"",
    ):
        assert detect_extension(header) is None
