"""IPP: send one operation of the Internet Printing Protocol 2.0 and decode the answer (RFC 8010, RFC 8011).

Only what printing a sheet needs. It is no more than HTTP with a simple binary body; the libraries for it on PyPI either
cannot print, or cannot encode the collection that asks for paper without margins.
"""

import getpass
import http.client
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

from shared.errors import ArtDreamError

#: Seconds without an answer after which a print server counts as unavailable.
REQUEST_TIMEOUT_SECONDS = 8.0

DEFAULT_PORT = 631


class Operation(IntEnum):
    """Operations, by their codes."""

    PRINT_JOB = 0x0002
    CANCEL_JOB = 0x0008
    GET_JOB_ATTRIBUTES = 0x0009
    GET_JOBS = 0x000A
    GET_PRINTER_ATTRIBUTES = 0x000B


class Tag(IntEnum):
    """Types of values that are sent."""

    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    COLLECTION = 0x34
    COLLECTION_END = 0x37
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49
    MEMBER_NAME = 0x4A


_OPERATION_GROUP, _JOB_GROUP, _END, _LAST_DELIMITER = 0x01, 0x02, 0x03, 0x0F

#: Status codes below this one are successes.
_FIRST_ERROR = 0x0100

#: A value to send, or several of the same type.
Value = tuple[Tag, object]
Attributes = Mapping[str, Value]


class PrintServerUnavailable(ArtDreamError):
    """The print server did not answer, or not with IPP: it may or may not have done what was asked."""


class IppError(ArtDreamError):
    """The print server answered that it did not do what was asked."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        #: Status code of RFC 8011, appendix B.
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A decoded answer: its groups of attributes, each name → values."""

    status: int
    groups: list[tuple[int, dict[str, list[object]]]] = field(default_factory=list)

    def list_groups(self, tag: int) -> list[dict[str, list[object]]]:
        """Return the groups of a kind: 2 for jobs, 4 for printers."""
        return [attributes for group_tag, attributes in self.groups if group_tag == tag]


class IppClient:
    """Sends operations to one printer. It keeps no connection, so that a restarted server costs nothing."""

    def __init__(self, url: str) -> None:
        """url: as ipp://host:631/printers/name, or ipps:// with a certificate that this machine trusts."""
        parts = urlsplit(url)
        if parts.scheme not in ("ipp", "ipps") or not parts.hostname:
            raise ArtDreamError(f"{url} is no printer's address: it looks like ipp://host:631/ipp/print.")
        #: The printer's address without a user's name and password.
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._host, self._port, self._path = parts.hostname, parts.port or DEFAULT_PORT, parts.path or "/"
        self._connection_class = http.client.HTTPSConnection if parts.scheme == "ipps" else http.client.HTTPConnection

    def send(
        self, operation: Operation, attributes: Attributes, job: Attributes | None = None, data: bytes = b""
    ) -> Answer:
        """Send an operation with its own attributes, those of a job, and a document; return the answer.

        Raises IppError if the server refuses, and PrintServerUnavailable if there is no answer.
        """
        standard: dict[str, Value] = {
            "attributes-charset": (Tag.CHARSET, "utf-8"),
            "attributes-natural-language": (Tag.LANGUAGE, "en"),
            "printer-uri": (Tag.URI, self.url),
        }
        # A server lets only a job's owner see its name and cancel it.
        user: dict[str, Value] = {"requesting-user-name": (Tag.NAME, getpass.getuser())}
        # RFC 8011 wants the target first, of which a job's id is a part.
        target = {name: value for name, value in attributes.items() if name == "job-id"}
        body = encode_request(operation, {**standard, **target, **user, **attributes}, job or {}) + data
        answer = decode_answer(self._post(body))
        if answer.status >= _FIRST_ERROR:
            messages = [group.get("status-message", [""])[0] for group in answer.list_groups(_OPERATION_GROUP)]
            text = next((str(message) for message in messages if message), f"status {answer.status:#06x}")
            raise IppError(f"The print server refuses: {text.rstrip('.')}.", answer.status)
        return answer

    def _post(self, body: bytes) -> bytes:
        connection = self._connection_class(self._host, self._port, timeout=REQUEST_TIMEOUT_SECONDS)
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/ipp"})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise PrintServerUnavailable(
                f"The print server at {self._host}:{self._port} does not answer ({str(error) or type(error).__name__})."
            ) from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise PrintServerUnavailable(
                f"The print server at {self._host}:{self._port} answers with HTTP status {response.status}: "
                "does it allow this machine to print?"
            )
        return answer


def encode_request(operation: Operation, attributes: Attributes, job: Attributes) -> bytes:
    """Return the bytes of a request before its document."""
    head = struct.pack(">BBHI", 2, 0, operation, 1)
    groups = bytes([_OPERATION_GROUP]) + _encode_attributes(attributes)
    if job:
        groups += bytes([_JOB_GROUP]) + _encode_attributes(job)
    return head + groups + bytes([_END])


def decode_answer(data: bytes) -> Answer:
    """Return the answer in some bytes. Raises PrintServerUnavailable if they are none."""
    try:
        _, _, status, _ = struct.unpack_from(">BBHI", data)
        return Answer(status, _decode_groups(data))
    except (struct.error, IndexError) as error:
        raise PrintServerUnavailable(
            "The print server's answer is not IPP: is the printer's address correct?"
        ) from error


def _encode_attributes(attributes: Attributes) -> bytes:
    return b"".join(_encode_attribute(name.encode(), tag, value) for name, (tag, value) in attributes.items())


def _encode_attribute(name: bytes, tag: Tag, value: object) -> bytes:
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    # Each further value has an empty name.
    return b"".join(_encode_value(b"" if index else name, tag, one) for index, one in enumerate(values))


def _encode_value(name: bytes, tag: Tag, value: object) -> bytes:
    if tag is Tag.COLLECTION:
        assert isinstance(value, Mapping)  # noqa: S101  for the type checker
        members = b"".join(
            _pack(Tag.MEMBER_NAME, b"", member.encode()) + _encode_attribute(b"", member_tag, member_value)
            for member, (member_tag, member_value) in value.items()
        )
        return _pack(Tag.COLLECTION, name, b"") + members + _pack(Tag.COLLECTION_END, b"", b"")
    if tag in (Tag.INTEGER, Tag.ENUM):
        return _pack(tag, name, struct.pack(">i", value))
    if tag is Tag.BOOLEAN:
        return _pack(tag, name, bytes([bool(value)]))
    return _pack(tag, name, str(value).encode())


def _pack(tag: Tag, name: bytes, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(name)) + name + struct.pack(">H", len(value)) + value


def _decode_groups(data: bytes) -> list[tuple[int, dict[str, list[object]]]]:
    groups: list[tuple[int, dict[str, list[object]]]] = []
    last_name, depth = "", 0
    for tag, name, value in _iterate_values(data):
        if tag <= _LAST_DELIMITER:
            groups.append((tag, {}))
        elif tag == Tag.COLLECTION:
            depth += 1
        elif tag == Tag.COLLECTION_END:
            depth -= 1
        elif not depth and groups:  # nothing of what is read here is in a collection
            last_name = name or last_name
            groups[-1][1].setdefault(last_name, []).append(_decode_value(tag, value))
    return groups


def _iterate_values(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Yield tag, name and bytes of each value, and the tag alone of each group."""
    position = 8
    while (tag := data[position]) != _END:
        position += 1
        if tag <= _LAST_DELIMITER:
            yield tag, "", b""
            continue
        texts = []
        for _ in range(2):
            (length,) = struct.unpack_from(">H", data, position)
            texts.append(data[position + 2 : position + 2 + length])
            position += 2 + length
        yield tag, texts[0].decode(errors="replace"), texts[1]


def _decode_value(tag: int, value: bytes) -> object:
    if tag in (Tag.INTEGER, Tag.ENUM):
        return struct.unpack(">i", value)[0]
    if tag == Tag.BOOLEAN:
        return value != b"\0"
    return value.decode(errors="replace")
