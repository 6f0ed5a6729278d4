"""Form: reads a multipart form while it arrives, so that no file of it is ever held in memory or written twice."""

import logging
from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

# It warns of every damaged form, as anybody may send.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

#: Fields of a form beside its file, and bytes of a name or value, at most.
MAX_FIELDS, MAX_FIELD_BYTES = 10, 1000

#: Name of the part that holds the file.
PHOTO_FIELD = "photo"


class FormError(Exception):
    """A form cannot be read. field: the field that is wrong, "" for the form itself."""

    def __init__(self, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.detail, self.field = detail, field


class PhotoFormReader:
    """Reads one form with the file `photo` and further fields, in any order."""

    def __init__(self, content_type: str) -> None:
        """content_type: header of the request. Raises FormError if it has no boundary."""
        _, options = parse_options_header(content_type)
        if not (boundary := options.get(b"boundary")):
            raise FormError("The header Content-Type has no boundary.")
        #: The fields that have been read so far, without the file.
        self.fields: dict[str, str] = {}
        self._headers: dict[str, bytes] = {}
        self._header_name = self._header_value = b""
        self._part_name, self._value = "", b""
        self._photo_chunks: list[bytes] = []
        self._has_photo = self._is_complete = False
        callbacks = {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_to_header_name,
            "on_header_value": self._add_to_header_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end_form,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError:
            raise FormError("The boundary in the header Content-Type is too long.") from None

    async def iterate_photo(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the file as it arrives, and read the fields meanwhile. chunks: the body of the request.

        Raises FormError if the form is damaged, or has no file.
        """
        epilogue_bytes = 0
        async for chunk in chunks:
            if self._is_complete:
                epilogue_bytes += len(chunk)
                if epilogue_bytes > MAX_FIELD_BYTES:
                    raise FormError("The body continues after the end of the form.")
                continue
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise FormError("The body is not a form of that Content-Type.") from None
            photo_chunks, self._photo_chunks = self._photo_chunks, []
            for photo_chunk in photo_chunks:
                yield photo_chunk
        if not self._is_complete:
            raise FormError("The form is cut short.")
        if not self._has_photo:
            raise FormError("The form has no file with this name.", PHOTO_FIELD)

    def _begin_part(self) -> None:
        self._headers, self._part_name, self._value = {}, "", b""
        self._header_name = self._header_value = b""

    def _add_to_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name = _limit(self._header_name + data[start:end])

    def _add_to_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value = _limit(self._header_value + data[start:end])

    def _end_header(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        disposition, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode(errors="replace")
        if disposition != b"form-data" or not name:
            raise FormError("A part of the form has no name.")
        if name in self.fields or (name == PHOTO_FIELD and self._has_photo):
            raise FormError("The form has this field more than once.", name)
        self._part_name = name
        if name == PHOTO_FIELD:
            self._has_photo = True
        elif len(self.fields) >= MAX_FIELDS:
            raise FormError("The form has too many fields.")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part_name == PHOTO_FIELD:
            self._photo_chunks.append(data[start:end])
        else:
            self._value = _limit(self._value + data[start:end])

    def _end_part(self) -> None:
        if self._part_name != PHOTO_FIELD:
            try:
                self.fields[self._part_name] = self._value.decode()
            except UnicodeDecodeError:
                raise FormError("This field is not UTF-8.", self._part_name) from None

    def _end_form(self) -> None:
        self._is_complete = True


def _limit(value: bytes) -> bytes:
    """Return a name or value of the form. Raises FormError if it is too long."""
    if len(value) > MAX_FIELD_BYTES:
        raise FormError(f"A field of the form has more than {MAX_FIELD_BYTES} bytes.")
    return value
