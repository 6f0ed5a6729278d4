"""Atomic uploads over SFTP that resume where an earlier one was interrupted."""

import hashlib
import posixpath
import uuid
from contextlib import suppress

import paramiko

#: Bytes sent or read at once.
TRANSFER_CHUNK_BYTES = 2**18

#: Bytes of the smallest object for which it is worth searching for an interrupted upload.
MIN_RESUMABLE_BYTES = 2**20

#: How often an upload is started while other processes upload the same bytes.
UPLOAD_ATTEMPTS = 5

#: Paths of the partial files that this process is writing.
_active_uploads: set[str] = set()


def upload(sftp: paramiko.SFTPClient, data: bytes, key: str, path: str) -> None:
    """Write data to a partial file, then rename it to `path`. Raises OSError if it cannot be written.

    key: path prefix of the partial files of these bytes; each attempt appends an id of its own.
    """
    for _ in range(UPLOAD_ATTEMPTS):
        part = f"{key}-{uuid.uuid4().hex}"
        _active_uploads.add(part)
        try:
            file, is_resumed = _open_part(sftp, part, key, data)
            with file:
                uploaded_bytes = _count_uploaded_bytes(file, data) if is_resumed else 0  # saves a round trip
                file.seek(uploaded_bytes)
                file.set_pipelined(True)
                for start in range(uploaded_bytes, len(data), TRANSFER_CHUNK_BYTES):
                    file.write(data[start : start + TRANSFER_CHUNK_BYTES])
            if sftp.stat(part).st_size != len(data):
                raise OSError("it was not written whole")
            _move_into_place(sftp, part, path)
            return
        except FileNotFoundError:
            continue  # another process claimed the partial file as a leftover, and resumes it
        finally:
            _active_uploads.discard(part)
    raise OSError("others are writing the same")


def _open_part(sftp: paramiko.SFTPClient, part: str, key: str, data: bytes) -> tuple[paramiko.SFTPFile, bool]:
    """Open the partial file; the flag says whether it is the leftover of an interrupted upload of the same bytes.

    A leftover is claimed by renaming it; rename is atomic. If its earlier owner is still alive, it writes the same
    bytes.
    """
    folder = posixpath.dirname(key)
    try:
        leftovers = sftp.listdir_attr(folder) if len(data) >= MIN_RESUMABLE_BYTES else []
    except FileNotFoundError:
        leftovers = []
    for entry in sorted(leftovers, key=lambda entry: -(entry.st_size or 0)):
        leftover = posixpath.join(folder, entry.filename)
        if leftover.startswith(key) and leftover not in _active_uploads:
            with suppress(FileNotFoundError):
                sftp.posix_rename(leftover, part)
                return sftp.open(part, "r+"), True
    try:
        return sftp.open(part, "x+"), False
    except FileNotFoundError:
        _make_folders(sftp, folder)
        return sftp.open(part, "x+"), False


def _count_uploaded_bytes(file: paramiko.SFTPFile, data: bytes) -> int:
    """Return how many bytes are already uploaded; 0 if they are not the beginning of the data."""
    size = file.stat().st_size or 0
    if size > len(data):
        file.truncate(0)
    if not 0 < size <= len(data):
        return 0
    file.prefetch(size)
    uploaded_hash = hashlib.sha256()
    for start in range(0, size, TRANSFER_CHUNK_BYTES):
        uploaded_hash.update(file.read(min(TRANSFER_CHUNK_BYTES, size - start)))
    return size if uploaded_hash.digest() == hashlib.sha256(data[:size]).digest() else 0


def _move_into_place(sftp: paramiko.SFTPClient, part: str, path: str) -> None:
    try:
        sftp.posix_rename(part, path)
    except FileNotFoundError:
        _make_folders(sftp, posixpath.dirname(path))
        sftp.posix_rename(part, path)


def _make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    path = ""
    for name in folder.strip("/").split("/"):
        path += f"/{name}"
        with suppress(OSError):  # it exists; any other problem shows in the caller's next call
            sftp.mkdir(path)
