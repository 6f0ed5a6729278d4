"""Files in an inbox that are not ordinary files: pipes, sockets, folders, links, impossible sizes and dates."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.pictures import encode_heic, encode_jpeg, make_picture

#: In the year 2500: beyond the largest date that signed 64-bit nanoseconds can represent.
FAR_FUTURE_NS = 16_725_225_600 * 10**9


def make_ignored_files(inbox: Path) -> list[Path]:
    """Create entries that are no files: a pipe, a socket, a folder, and broken, circular and device links."""
    paths = [inbox / f"{name}.jpg" for name in ("pipe", "socket", "folder", "nowhere", "circle", "zero", "tty", "up")]
    os.mkfifo(paths[0])
    working_folder = Path.cwd()
    os.chdir(inbox)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(paths[1].name)
    os.chdir(working_folder)
    paths[2].mkdir()
    (paths[2] / "inside.jpg").write_bytes(encode_jpeg(make_picture(1, (96, 72))))
    for path, target in zip(paths[3:], ("not there", "circle.jpg", "/dev/zero", "/dev/tty", ".."), strict=True):
        path.symlink_to(target)
    return paths


def make_refused_files(inbox: Path) -> list[Path]:
    """Create files that are refused: a link to a secret, a file that is too large, and files with impossible dates."""
    secret = inbox.parent / "secret.txt"
    secret.write_text("password = swordfish\n")
    (inbox / "link.jpg").symlink_to(secret)
    with (inbox / "terabyte.heic").open("wb") as file:
        file.truncate(2**40)
    (inbox / "far future.jpg").write_bytes(b"from the year 2500")
    os.utime(inbox / "far future.jpg", ns=(FAR_FUTURE_NS, FAR_FUTURE_NS))
    (inbox / "long ago.jpg").write_bytes(b"from before there was time")
    os.utime(inbox / "long ago.jpg", ns=(-(10**18), -(10**18)))
    return [inbox / name for name in ("link.jpg", "terabyte.heic", "far future.jpg", "long ago.jpg")]


def make_accepted_files(inbox: Path) -> list[Path]:
    """Create a link to a photo, and a photo with an impossible date."""
    target = inbox.parent / "elsewhere.heic"
    target.write_bytes(encode_heic(make_picture(11, (96, 72))))
    (inbox / "linked.heic").symlink_to(target)
    (inbox / "dated.heic").write_bytes(encode_heic(make_picture(12, (96, 72))))
    os.utime(inbox / "dated.heic", ns=(FAR_FUTURE_NS, FAR_FUTURE_NS))
    return [inbox / "linked.heic", inbox / "dated.heic"]


def _replace(path: Path, create: Callable[[Path], object]) -> None:
    """Delete a file, and have something else created in its place."""
    path.unlink()
    create(path)


#: Changes to a file while the producer reads it, by name.
FILE_CHANGES: dict[str, Callable[[Path], object]] = {
    "vanishes": lambda path: path.unlink(),
    "becomes a pipe": lambda path: _replace(path, os.mkfifo),
    "becomes a folder": lambda path: _replace(path, Path.mkdir),
    "becomes a link in a circle": lambda path: _replace(path, lambda path: path.symlink_to(path.name)),
    "becomes endless": lambda path: _replace(path, lambda path: path.symlink_to("/dev/zero")),
}
