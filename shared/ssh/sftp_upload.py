"""An upload over SFTP that is whole or not at all, and that goes on where an earlier one was cut."""

import hashlib
import posixpath
import uuid
from contextlib import suppress

import paramiko

#: Bytes that are sent or read at once.
TRANSFER_CHUNK_BYTES = 2**18

#: Bytes from which on it is worth looking for what a cut upload left behind.
MIN_RESUMABLE_BYTES = 2**20

#: How often an upload is begun while other processes upload the same.
UPLOAD_ATTEMPTS = 5

#: The parts that this process is uploading.
_active_uploads: set[str] = set()


def upload(sftp: paramiko.SFTPClient, data: bytes, key: str, path: str) -> None:
    """Bring a part up to the whole, then give it the object's name. `key` is that part's path without its ending."""
    for _ in range(UPLOAD_ATTEMPTS):
        part = f"{key}-{uuid.uuid4().hex}"
        _active_uploads.add(part)
        try:
            file, left = _open_part(sftp, part, key, data)
            with file:
                there = _count_uploaded_bytes(file, data) if left else 0  # each question is a round trip
                file.seek(there)
                file.set_pipelined(True)
                for start in range(there, len(data), TRANSFER_CHUNK_BYTES):
                    file.write(data[start : start + TRANSFER_CHUNK_BYTES])
            if sftp.stat(part).st_size != len(data):
                raise OSError("it was not written whole")
            _move_into_place(sftp, part, path)
            return
        except FileNotFoundError:
            continue  # another process took it for left behind, and goes on with it
        finally:
            _active_uploads.discard(part)
    raise OSError("others are writing the same")


def _open_part(sftp: paramiko.SFTPClient, part: str, key: str, data: bytes) -> tuple[paramiko.SFTPFile, bool]:
    """Open a part of one's own, and tell whether it is what a cut upload of the same left behind; else it is new.

    Who renames what was left has it, and nobody else. Its earlier owner, should he live, writes the same bytes.
    """
    folder = posixpath.dirname(key)
    try:
        left = sftp.listdir_attr(folder) if len(data) >= MIN_RESUMABLE_BYTES else []
    except FileNotFoundError:
        left = []
    for one in sorted(left, key=lambda one: -(one.st_size or 0)):
        old = posixpath.join(folder, one.filename)
        if old.startswith(key) and old not in _active_uploads:
            with suppress(FileNotFoundError):
                sftp.posix_rename(old, part)
                return sftp.open(part, "r+"), True
    try:
        return sftp.open(part, "x+"), False
    except FileNotFoundError:
        _make_folders(sftp, folder)
        return sftp.open(part, "x+"), False


def _count_uploaded_bytes(file: paramiko.SFTPFile, data: bytes) -> int:
    """Return how many bytes are there already; 0 where they are not how the data begins."""
    size = file.stat().st_size or 0
    if size > len(data):
        file.truncate(0)
    if not 0 < size <= len(data):
        return 0
    file.prefetch(size)
    there = hashlib.sha256()
    for start in range(0, size, TRANSFER_CHUNK_BYTES):
        there.update(file.read(min(TRANSFER_CHUNK_BYTES, size - start)))
    return size if there.digest() == hashlib.sha256(data[:size]).digest() else 0


def _move_into_place(sftp: paramiko.SFTPClient, part: str, path: str) -> None:
    try:
        sftp.posix_rename(part, path)
    except FileNotFoundError:
        _make_folders(sftp, posixpath.dirname(path))
        sftp.posix_rename(part, path)


def _make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    made = ""
    for one in folder.strip("/").split("/"):
        made += f"/{one}"
        with suppress(OSError):  # there already; if not, the next step tells
            sftp.mkdir(made)
