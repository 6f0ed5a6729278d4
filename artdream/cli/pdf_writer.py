"""Writer of PDF pages with pictures and selectable text, which keeps its pictures on disk."""

import ctypes
import io
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import pypdfium2
from PIL import Image, ImageFont
from pypdfium2 import raw

from shared.errors import ArtDreamError
from shared.provenance.containers import append_packet
from shared.provenance.statement import Statement
from shared.typeface import has_letter

#: Width and height of a page of A4 in points, 1/72 inch.
A4 = (595.28, 841.89)

#: JPEG quality of the pictures.
_JPEG_QUALITY = 80

Rgb = tuple[int, int, int]


class PdfWriter:
    """Writes pages one after the other. Positions are in points from the lower left corner of a page.

    A picture is in memory only while it is added: PDFium reads it from a temporary file when the document is saved.
    """

    def __init__(self, font_file: Path) -> None:
        """Raise ArtDreamError if the file is no TrueType font."""
        self._document, self._font_name = pypdfium2.PdfDocument.new(), font_file.name
        try:
            font_data = font_file.read_bytes()
            self._probe = ImageFont.truetype(io.BytesIO(font_data))  # PDFium takes anything
        except OSError as error:
            raise ArtDreamError(f"{font_file} is no font that can be used: name a TrueType file.") from error
        buffer = (ctypes.c_uint8 * len(font_data)).from_buffer_copy(font_data)
        self._font = raw.FPDFText_LoadFont(self._document, buffer, len(font_data), raw.FPDF_FONT_TRUETYPE, True)
        self._pictures = TemporaryFile()  # noqa: SIM115  open as long as the document
        self._sections: list[_Section] = []
        self._page: pypdfium2.PdfPage | None = None

    def require_letters(self, text: str) -> None:
        """Raise ArtDreamError if the font does not have all letters of a text."""
        if missing := [letter for letter in dict.fromkeys(text) if not has_letter(self._probe, letter)]:
            raise ArtDreamError(
                f"The font {self._font_name} has no {' '.join(missing)} for “{text}”: name one that has, with --font."
            )

    def begin_page(self, size: tuple[float, float] = A4) -> None:
        """End the last page, and begin one."""
        self._end_page()
        self._page = self._document.new_page(*size)

    def draw_picture(self, picture: Image.Image, box: tuple[float, float, float, float]) -> None:
        """Draw an RGB picture into a box (left, lower, right, upper)."""
        jpeg = io.BytesIO()
        picture.save(jpeg, "JPEG", quality=_JPEG_QUALITY, optimize=True)
        begin = self._pictures.seek(0, os.SEEK_END)
        self._pictures.write(jpeg.getbuffer())
        self._pictures.flush()
        section = _Section(self._pictures.fileno(), begin, jpeg.tell())
        image = pypdfium2.PdfImage.new(self._document)
        image.load_jpeg(section)
        left, lower, right, upper = box
        image.set_matrix(pypdfium2.PdfMatrix().scale(right - left, upper - lower).translate(left, lower))
        self._require_page().insert_obj(image)

    def draw_line(self, box: tuple[float, float, float, float], color: Rgb) -> None:
        """Fill a box (left, lower, right, upper) with a color."""
        left, lower, right, upper = box
        line = raw.FPDFPageObj_CreateNewRect(left, lower, right - left, upper - lower)
        raw.FPDFPageObj_SetFillColor(line, *color, 255)
        raw.FPDFPath_SetDrawMode(line, raw.FPDF_FILLMODE_WINDING, False)
        raw.FPDFPage_InsertObject(self._require_page(), line)

    def draw_text(
        self,
        text: str,
        position: tuple[float, float],
        size: float,
        color: Rgb,
        *,
        align: Literal["left", "center", "right"] = "left",
        max_width: float | None = None,
    ) -> None:
        """Draw a line of text, smaller than `size` points if it would be wider than `max_width`.

        position: of the baseline, at the left end, the middle or the right end of the line.
        """
        if not text:
            return
        line = raw.FPDFPageObj_CreateTextObj(self._document, self._font, size)
        encoded = f"{text}\0".encode("utf-16-le")
        raw.FPDFText_SetText(line, (ctypes.c_ushort * (len(encoded) // 2)).from_buffer_copy(encoded))
        raw.FPDFPageObj_SetFillColor(line, *color, 255)
        left, lower, right, upper = (ctypes.c_float() for _ in range(4))
        raw.FPDFPageObj_GetBounds(line, left, lower, right, upper)
        scale = min(1.0, max_width / right.value) if max_width and right.value > 0 else 1.0
        offset = {"left": 0.0, "center": 0.5, "right": 1.0}[align] * scale * right.value
        raw.FPDFPageObj_Transform(line, scale, 0, 0, scale, position[0] - offset, position[1])
        raw.FPDFPage_InsertObject(self._require_page(), line)

    def save(self, path: Path, statement: Statement) -> None:
        """End the last page, and write the document; the file is there completely or not at all. Raises OSError.

        statement: what the file says about itself.
        """
        self._end_page()
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        try:
            self._document.save(draft)
            append_packet(draft, statement.to_packet())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the document and the temporary file."""
        self._document.close()
        self._pictures.close()

    def _end_page(self) -> None:
        if self._page is not None:
            self._page.gen_content()
            self._page.close()
            self._page = None

    def _require_page(self) -> pypdfium2.PdfPage:
        if self._page is None:
            raise ValueError("Begin a page first.")
        return self._page


class _Section(io.RawIOBase):
    """A part of an open file, to read."""

    def __init__(self, descriptor: int, begin: int, size: int) -> None:
        self._descriptor, self._begin, self._size, self._position = descriptor, begin, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._size - self._position))
        data = os.pread(self._descriptor, count, self._begin + self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
