"""An upload: a guest's file on its way into the folder that the producer watches, piece by piece."""

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from display.web.threads import run_in_thread
from shared.guest_uploads import GUEST_UPLOADS_FOLDER, GuestUpload, make_file_name, parse_file_name
from shared.jobs.job import Job
from shared.recipe.recipe import Recipe

#: First bytes of a picture, and the ending that its file gets; a name that came with it is never used.
_MAGIC_NUMBERS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}

#: Bytes that tell what a file is.
_HEADER_BYTES = 12

#: Major brands of HEIC and AVIF begin so; which of them can be decoded is the producer's to say.
_FTYP_BRANDS = {b"he": "heic", b"mi": "heic", b"ms": "heic", b"av": "avif"}

#: Seconds after which half an upload is what a killed display left.
_ABANDONED_AFTER_SECONDS = 3600


class UploadRejected(Exception):
    """An upload that is not taken. `word` names the sentence that says why."""

    def __init__(self, text_key: str, status: int) -> None:
        super().__init__(text_key)
        self.text_key, self.status = text_key, status


def detect_extension(head: bytes) -> str | None:
    """Return the ending for a picture that begins so; None for what is no picture that is taken."""
    if head[4:8] == b"ftyp":
        return _FTYP_BRANDS.get(head[8:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for begin, kind in _MAGIC_NUMBERS.items() if head.startswith(begin)), None)


class UploadFolder:
    """The guests' folder, as the display fills it."""

    def __init__(self, data_folder: Path, *, max_file_bytes: int, max_waiting: int) -> None:
        """largest: bytes of a file. most: files that may wait for the producer."""
        self._folder, self._max_file_bytes, self._max_waiting = (
            data_folder / GUEST_UPLOADS_FOLDER,
            max_file_bytes,
            max_waiting,
        )

    def remove_abandoned(self) -> None:
        """Remove what a killed display left half done."""
        for path in self._folder.glob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_SECONDS:
                    path.unlink()

    def list_waiting(self) -> list[str]:
        """List the jobs whose files wait for the producer."""
        return [sent.job_id for path in self._folder.glob("*/*") if (sent := parse_file_name(path.name))]

    @property
    def is_full(self) -> bool:
        """Whether more wait than a producer that works would leave."""
        return len(self.list_waiting()) >= self._max_waiting

    async def save(self, chunks: AsyncIterator[bytes], guest: str, recipe: Recipe) -> str:
        """Bring an upload into the folder, whole or not at all, and return the id of the job that it becomes.

        Raises Refused, and OSError where the disk does not take it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with draft.open("xb") as file:
                digest, head, size = hashlib.sha256(), b"", 0
                async for piece in chunks:
                    digest.update(piece)
                    size += len(piece)
                    if size > self._max_file_bytes:
                        raise UploadRejected("send_too_large", 413)
                    if len(head) < _HEADER_BYTES:
                        head += piece[: _HEADER_BYTES - len(head)]
                        if len(head) == _HEADER_BYTES and detect_extension(head) is None:
                            raise UploadRejected("send_no_picture", 415)
                    file.write(piece)
                kind = detect_extension(head)
                if kind is None:
                    raise UploadRejected("send_no_picture", 415)
                job_id = Job(photo_id=digest.hexdigest(), recipe=recipe).id
                await run_in_thread(lambda: _flush_to_disk(file.fileno()))
            target = self._folder / recipe.name / make_file_name(GuestUpload(guest, job_id), kind)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            draft.replace(target)  # from here on it is the producer's
            await run_in_thread(lambda: _flush_folder_to_disk(target.parent))
            return job_id
        finally:
            draft.unlink(missing_ok=True)


def _flush_to_disk(descriptor: int) -> None:
    os.fsync(descriptor)


def _flush_folder_to_disk(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
