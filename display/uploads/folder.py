"""Upload folder: files are written chunk by chunk, and published to the producer, which watches the folder."""

import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from display.web.threads import run_in_thread
from shared.durability import flush_file, flush_path
from shared.guest_upload_names import (
    GUEST_UPLOADS_FOLDER,
    AssignedRecipe,
    GuestUpload,
    are_uploads_taken,
    assigned_recipe_path,
    make_file_name,
    parse_file_name,
)
from shared.private_folder import create_private_folder
from shared.recipe.canary import Assignment

#: First bytes of a picture → extension of its file. The file name that a browser sends is never used.
_MAGIC_NUMBERS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}

#: Bytes at the start of a file that are needed to detect its type.
_HEADER_BYTES = 12

#: First two letters of the major brands of HEIC and AVIF → extension. The producer rejects those it cannot decode.
_FTYP_BRANDS = {b"he": "heic", b"mi": "heic", b"ms": "heic", b"av": "avif"}

#: Seconds without a write after which a partial upload counts as abandoned, by a display that was killed.
_ABANDONED_AFTER_SECONDS = 3600


class UploadDraft(NamedTuple):
    """A file that was received in full, and that the producer does not see yet."""

    path: Path
    #: SHA-256 of the file.
    photo_id: str
    extension: str


class UploadRejected(Exception):
    """An upload was rejected. text_key: key of the guest text with the reason. status: HTTP status."""

    def __init__(self, text_key: str, status: int) -> None:
        super().__init__(text_key)
        self.text_key, self.status = text_key, status


def detect_extension(head: bytes) -> str | None:
    """Return the file extension for a picture by its first bytes, None if the type is not accepted."""
    if head[4:8] == b"ftyp":
        return _FTYP_BRANDS.get(head[8:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((extension for magic, extension in _MAGIC_NUMBERS.items() if head.startswith(magic)), None)


class UploadFolder:
    """The folder of guest uploads, which the display fills and the producer empties."""

    def __init__(self, data_folder: Path, *, max_file_bytes: int, max_waiting: int) -> None:
        """max_file_bytes: size limit of a file. max_waiting: files that may wait for the producer."""
        self._folder, self._max_file_bytes, self._max_waiting = (
            data_folder / GUEST_UPLOADS_FOLDER,
            max_file_bytes,
            max_waiting,
        )

    def remove_abandoned(self) -> None:
        """Remove what a display left that was killed: partial uploads, and assigned recipes without one."""
        for path in (*self._folder.glob(".*.part"), *self._folder.glob("*/.*.json")):
            with contextlib.suppress(OSError):
                is_needed = path.suffix == ".json" and path.with_name(path.stem.removeprefix(".")).exists()
                if not is_needed and time.time() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                    path.unlink()

    def list_waiting(self) -> list[str]:
        """List the ids of the jobs whose files wait for the producer."""
        return [upload.job_id for path in self._folder.glob("*/*") if (upload := parse_file_name(path.name))]

    @property
    def is_taken(self) -> bool:
        """Whether a producer takes what is in the folder."""
        return are_uploads_taken(self._folder.parent)

    @property
    def is_full(self) -> bool:
        """Whether `max_waiting` files wait: a running producer would have taken them."""
        return len(self.list_waiting()) >= self._max_waiting

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[UploadDraft]:
        """Write an upload to a draft, which is removed at the end of the context unless it was published.

        Raises UploadRejected if it is too large or not an accepted picture, OSError if it cannot be written.
        """
        create_private_folder(self._folder)
        path = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with path.open("xb") as file:
                digest, head, size = hashlib.sha256(), b"", 0
                async for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    if size > self._max_file_bytes:
                        raise UploadRejected("send_too_large", 413)
                    if len(head) < _HEADER_BYTES:
                        head += chunk[: _HEADER_BYTES - len(head)]
                        if len(head) == _HEADER_BYTES and detect_extension(head) is None:
                            raise UploadRejected("send_no_picture", 415)
                    file.write(chunk)
                extension = detect_extension(head)
                if extension is None:
                    raise UploadRejected("send_no_picture", 415)
                await run_in_thread(lambda: flush_file(file.fileno()))
            yield UploadDraft(path, digest.hexdigest(), extension)
        finally:
            path.unlink(missing_ok=True)

    async def publish(self, draft: UploadDraft, assignment: Assignment, upload: GuestUpload) -> None:
        """Move a draft into the folder of its recipe, where the producer takes it. Raises OSError."""
        recipe, comparison = assignment
        target = self._folder / recipe.name / make_file_name(upload, draft.extension)
        create_private_folder(target.parent)
        if comparison:
            assigned = AssignedRecipe(recipe=recipe, comparison=comparison)
            with assigned_recipe_path(target).open("xb") as file:
                file.write(assigned.model_dump_json().encode())
                await run_in_thread(lambda: flush_file(file.fileno()))
        draft.path.replace(target)  # from here on the producer may take it
        await run_in_thread(lambda: flush_path(target.parent))
