"""Guest uploads: the folder through which the display passes uploaded photos to the producer.

`<data>/guests/<recipe>/<guest>-<job>-<number>.<extension>`: no part of a name comes from the guest.
"""

import re
import secrets
from typing import NamedTuple

#: Name of the uploads folder inside the data folder.
GUEST_UPLOADS_FOLDER = "guests"

_FILE_NAME_PATTERN = re.compile(r"([0-9a-f]{16})-([0-9a-f]{32})-[0-9a-f]{8}\.[a-z]{3,4}", re.ASCII)


class GuestUpload(NamedTuple):
    """The sender of an uploaded file, and the id of the job that is made from it."""

    #: Sixteen random hex digits that identify the guest's browser.
    guest_id: str
    job_id: str


def make_file_name(upload: GuestUpload, extension: str) -> str:
    """Return a new, unique file name for an upload. extension: without the dot."""
    return f"{upload.guest_id}-{upload.job_id}-{secrets.token_hex(4)}.{extension}"


def parse_file_name(name: str) -> GuestUpload | None:
    """Return the guest and job ids in an upload's file name; None if it is not the name of an upload."""
    match = _FILE_NAME_PATTERN.fullmatch(name)
    return GuestUpload(match[1], match[2]) if match else None
