"""An upload: a guest's file on its way into the folder that the producer watches, piece by piece."""

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from display.web.threads import aside
from shared.guest_uploads import GUEST_UPLOADS_FOLDER, GuestUpload, make_file_name, parse_file_name
from shared.jobs.job import Job
from shared.recipe.recipe import Recipe

#: First bytes of a picture, and the ending that its file gets; a name that came with it is never used.
_BEGINNINGS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}

#: Bytes that tell what a file is.
_HEAD = 12

#: Major brands of HEIC and AVIF begin so; which of them can be decoded is the producer's to say.
_BRANDS = {b"he": "heic", b"mi": "heic", b"ms": "heic", b"av": "avif"}

#: Seconds after which half an upload is what a killed display left.
_ABANDONED = 3600


class Refused(Exception):
    """An upload that is not taken. `word` names the sentence that says why."""

    def __init__(self, word: str, status: int) -> None:
        super().__init__(word)
        self.word, self.status = word, status


def ending(head: bytes) -> str | None:
    """Return the ending for a picture that begins so; None for what is no picture that is taken."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:10])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return next((kind for begin, kind in _BEGINNINGS.items() if head.startswith(begin)), None)


class Reception:
    """The guests' folder, as the display fills it."""

    def __init__(self, data: Path, *, largest: int, most: int) -> None:
        """largest: bytes of a file. most: files that may wait for the producer."""
        self._folder, self._largest, self._most = data / GUEST_UPLOADS_FOLDER, largest, most

    def sweep(self) -> None:
        """Remove what a killed display left half done."""
        for path in self._folder.glob(".*.part"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()

    def waiting(self) -> list[str]:
        """List the jobs whose files wait for the producer."""
        return [sent.job_id for path in self._folder.glob("*/*") if (sent := parse_file_name(path.name))]

    @property
    def full(self) -> bool:
        """Whether more wait than a producer that works would leave."""
        return len(self.waiting()) >= self._most

    async def take(self, pieces: AsyncIterator[bytes], guest: str, recipe: Recipe) -> str:
        """Bring an upload into the folder, whole or not at all, and return the id of the job that it becomes.

        Raises Refused, and OSError where the disk does not take it.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".{secrets.token_hex(8)}.part"
        try:
            with draft.open("xb") as file:
                digest, head, size = hashlib.sha256(), b"", 0
                async for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    if size > self._largest:
                        raise Refused("send_too_large", 413)
                    if len(head) < _HEAD:
                        head += piece[: _HEAD - len(head)]
                        if len(head) == _HEAD and ending(head) is None:
                            raise Refused("send_no_picture", 415)
                    file.write(piece)
                kind = ending(head)
                if kind is None:
                    raise Refused("send_no_picture", 415)
                job_id = Job(photo_id=digest.hexdigest(), recipe=recipe).id
                await aside(lambda: _harden(file.fileno()))
            target = self._folder / recipe.name / make_file_name(GuestUpload(guest, job_id), kind)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            draft.replace(target)  # from here on it is the producer's
            await aside(lambda: _harden_folder(target.parent))
            return job_id
        finally:
            draft.unlink(missing_ok=True)


def _harden(number: int) -> None:
    os.fsync(number)


def _harden_folder(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
