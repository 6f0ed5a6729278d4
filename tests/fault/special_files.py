"""What lies in a folder and is no file that keeps still: each is put there as somebody or something would."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.pictures import encode_heic, encode_jpeg, make_picture

#: Long after what 64 bits of nanoseconds can tell.
FAR_FUTURE_NS = 16_725_225_600 * 10**9


def make_ignored_files(inbox: Path) -> list[Path]:
    """Put there what is no file: a pipe, a socket, folders, links to nowhere, in circles and to devices."""
    paths = [inbox / f"{name}.jpg" for name in ("pipe", "socket", "folder", "nowhere", "circle", "zero", "tty", "up")]
    os.mkfifo(paths[0])
    here = Path.cwd()
    os.chdir(inbox)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(paths[1].name)
    os.chdir(here)
    paths[2].mkdir()
    (paths[2] / "inside.jpg").write_bytes(encode_jpeg(make_picture(1, (96, 72))))
    for path, target in zip(paths[3:], ("not there", "circle.jpg", "/dev/zero", "/dev/tty", ".."), strict=True):
        path.symlink_to(target)
    return paths


def make_refused_files(inbox: Path) -> list[Path]:
    """Put there files that are none of a guest's: a link to a secret, one too large, one with a date that is none."""
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
    """Put there a link to a photo, and a photo with an impossible date."""
    elsewhere = inbox.parent / "elsewhere.heic"
    elsewhere.write_bytes(encode_heic(make_picture(11, (96, 72))))
    (inbox / "linked.heic").symlink_to(elsewhere)
    (inbox / "dated.heic").write_bytes(encode_heic(make_picture(12, (96, 72))))
    os.utime(inbox / "dated.heic", ns=(FAR_FUTURE_NS, FAR_FUTURE_NS))
    return [inbox / "linked.heic", inbox / "dated.heic"]


#: What may become of a file while it is looked at.
FILE_CHANGES: dict[str, Callable[[Path], object]] = {
    "vanishes": lambda path: path.unlink(),
    "becomes a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "becomes a folder": lambda path: (path.unlink(), path.mkdir()),
    "becomes a link in a circle": lambda path: (path.unlink(), path.symlink_to(path.name)),
    "becomes endless": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
}
