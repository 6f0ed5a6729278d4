"""The guests' folder: where the display puts what guests send, and the producer takes it from.

`<data>/guests/<recipe>/<guest>-<job>-<number>.<ending>`: nothing in a name comes from the guest.
"""

import re
import secrets
from typing import NamedTuple

#: Name of the folder in the data folder.
GUEST_UPLOADS_FOLDER = "guests"

_FILE_NAME_PATTERN = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})-[0-9a-f]{8}\.[a-z]{3,4}", re.ASCII)


class GuestUpload(NamedTuple):
    """Who sent a file, and which job it is to become."""

    #: Sixteen hex digits that a browser was given by chance.
    guest_id: str
    job_id: str


def make_file_name(upload: GuestUpload, extension: str) -> str:
    """Return a name for a file, another one each time."""
    return f"{upload.guest_id}-{upload.job_id}-{secrets.token_hex(4)}.{extension}"


def parse_file_name(name: str) -> GuestUpload | None:
    """Return what the name of a file in the guests' folder says; None for any other name."""
    found = _FILE_NAME_PATTERN.fullmatch(name)
    return GuestUpload(found[1], found[2]) if found else None
