"""Guest uploads: the folder through which the display passes uploaded photos to the producer.

`<data>/guests/<recipe>/<guest>-<job>-<number>.<extension>`: no part of a name comes from the guest. An upload over the
HTTP API has the id of its key for a guest, and `-<lane>-<seed>` before its extension. While its recipe has a canary,
`.<file name>.json` beside an upload has the version that it was assigned, on which the id of its job depends. The
producer touches `<data>/guests/.producer` while it takes uploads, so that the display offers sending photos only then.
"""

import re
import secrets
import time
from pathlib import Path
from typing import NamedTuple

from shared.jobs.job import MAX_SEED, Lane, Origin
from shared.recipe.canary import Comparison
from shared.recipe.objective import StrictModel
from shared.recipe.recipe import Recipe

#: Name of the uploads folder inside the data folder.
GUEST_UPLOADS_FOLDER = "guests"

#: Seconds between two touches of the mark, and seconds for which one is valid: longer than a producer takes to restart.
TOUCH_INTERVAL_SECONDS, _TOUCH_VALIDITY_SECONDS = 10.0, 60.0

_FILE_NAME_PATTERN = re.compile(
    r"([0-9a-f]{16})-([0-9a-f]{32})-[0-9a-f]{8}(?:-(live|batch)-(0|[1-9][0-9]{0,9}))?\.[a-z]{3,4}", re.ASCII
)


class GuestUpload(NamedTuple):
    """The sender of an uploaded file, and the job that is made from it."""

    #: Sixteen random hex digits that identify the guest's browser, or a key of the HTTP API.
    guest_id: str
    job_id: str
    #: Phone, or API; lane and seed of a photo from a phone are always these.
    origin: Origin = Origin.PHONE
    lane: Lane = Lane.LIVE
    seed: int = 0


class AssignedRecipe(StrictModel):
    """The version of a recipe that an upload was assigned."""

    recipe: Recipe
    comparison: Comparison


def assigned_recipe_path(upload: Path) -> Path:
    """Return the file with the version that an upload was assigned; only uploads in a comparison have one."""
    return upload.with_name(f".{upload.name}.json")


def make_file_name(upload: GuestUpload, extension: str) -> str:
    """Return a new, unique file name for an upload. extension: without the dot."""
    options = f"-{upload.lane}-{upload.seed}" if upload.origin is Origin.API else ""
    return f"{upload.guest_id}-{upload.job_id}-{secrets.token_hex(4)}{options}.{extension}"


def parse_file_name(name: str) -> GuestUpload | None:
    """Return what an upload's file name says; None if it is not the name of an upload."""
    match = _FILE_NAME_PATTERN.fullmatch(name)
    if match is None or int(match[4] or 0) > MAX_SEED:
        return None
    guest_id, job_id, lane, seed = match.groups()
    return GuestUpload(guest_id, job_id, Origin.API, Lane(lane), int(seed)) if lane else GuestUpload(guest_id, job_id)


def touch_producer_mark(data_folder: Path) -> None:
    """Note that a producer takes the uploads of a data folder. Raises OSError."""
    _producer_mark(data_folder).touch()


def are_uploads_taken(data_folder: Path) -> bool:
    """Return whether a producer takes the uploads of a data folder."""
    try:
        return time.time() - _producer_mark(data_folder).stat().st_mtime < _TOUCH_VALIDITY_SECONDS
    except OSError:
        return False


def _producer_mark(data_folder: Path) -> Path:
    return data_folder / GUEST_UPLOADS_FOLDER / ".producer"
