"""Fetching: data sets come through Kaggle's own client, which goes on where a download broke off."""

import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError, did_you_mean

#: Times in a row that a download is taken up again without having got any further.
PATIENCE = 3

#: Seconds before that.
PAUSE = 5.0

#: Where the client puts everything. Its `output_dir` refuses to go on with what broke off, this does not (1.0.3).
CACHE = "KAGGLEHUB_CACHE"

#: All that it accepts.
CREDENTIALS = (
    "make a token at kaggle.com/settings and say it in KAGGLE_API_TOKEN, or in KAGGLE_USERNAME and KAGGLE_KEY, "
    "or put its kaggle.json into ~/.kaggle"
)


@dataclass(frozen=True)
class Remote:
    """A data set at Kaggle."""

    handle: str
    #: A competition's rules must be accepted once, in a browser.
    competition: bool

    @property
    def url(self) -> str:
        """Where people read about it."""
        return f"kaggle.com/{'competitions' if self.competition else 'datasets'}/{self.handle}"


#: By the name that the command line knows.
REMOTES = {
    "painter-by-numbers": Remote("painter-by-numbers", competition=True),
    "best-artworks-of-all-time": Remote("ikarus777/best-artworks-of-all-time", competition=False),
}


def fetch(
    name: str,
    folder: Path,
    file: str | None = None,
    *,
    broken: Callable[[str], None] = lambda _: None,
    pause: float = PAUSE,
) -> Path:
    """Download a data set, or one file of it, below a folder, unpack its archives, and return where it is.

    What is there already is not fetched again; a download that broke off goes on where it was. The client shows its
    progress on stderr. broken: is told why, whenever a download broke off and is taken up again after `pause` seconds.
    Raises ArtDreamError for an unknown name, missing credentials, rules not accepted, and where Kaggle is away.
    """
    remote = REMOTES.get(name)
    if remote is None:
        raise ArtDreamError(f"There is nothing to fetch for “{name}”. {did_you_mean(name, REMOTES)}")
    try:
        with _below(folder):
            path = _downloaded(remote, folder, file, broken, pause)
        for archive in [path] if path.is_file() else sorted(path.glob("*.zip")):
            if archive.suffix == ".zip":
                _unpack(archive)
    except zipfile.BadZipFile as error:
        raise ArtDreamError(f"An archive in {folder} is broken: delete it, and fetch it again.") from error
    except OSError as error:
        raise ArtDreamError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return path


@contextmanager
def _below(folder: Path) -> Iterator[None]:
    kept = os.environ.get(CACHE)
    os.environ[CACHE] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[CACHE]
        if kept is not None:
            os.environ[CACHE] = kept


def _downloaded(remote: Remote, folder: Path, file: str | None, broken: Callable[[str], None], pause: float) -> Path:
    try:
        import kagglehub
        import requests
        from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, UnauthenticatedError
    except ImportError as error:
        raise ArtDreamError("Kaggle's client is not installed here: install `artdream[train]`.") from error
    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # its bar tells the rest
    get = kagglehub.competition_download if remote.competition else kagglehub.dataset_download
    left, size = PATIENCE, _size(folder)
    while True:
        try:
            return Path(get(remote.handle, file))
        except UnauthenticatedError as error:
            raise ArtDreamError(f"Kaggle wants to know who you are: {CREDENTIALS}.") from error
        except KaggleApiHTTPError as error:
            raise ArtDreamError(_refusal(remote, file, error.response.status_code)) from error
        except (requests.RequestException, DataCorruptionError) as error:
            now = _size(folder)
            left = PATIENCE if now > size else left - 1
            if left < 0 or not folder.is_dir():
                raise ArtDreamError(
                    f"Kaggle is away, or breaks off ({type(error).__name__}): the same command goes on where it was."
                ) from error
            size = now
            broken(type(error).__name__)
            time.sleep(pause)
        except ValueError as error:  # of its credentials' file, or an archive of another kind
            raise ArtDreamError(f"Kaggle's client cannot go on: {error}.") from error


def _refusal(remote: Remote, file: str | None, status: int) -> str:
    match status:
        case 401:
            return f"Kaggle does not accept your credentials, or wants some: {CREDENTIALS}."
        case 403 if remote.competition:
            return f"Kaggle refuses {remote.handle}: accept its rules once, at {remote.url}/rules."
        case 403:
            return f"Kaggle refuses {remote.handle}: see {remote.url}, and {CREDENTIALS}."
        case 404:
            return f"Kaggle has no {f'file {file} in ' if file else ''}{remote.handle}: see {remote.url}."
        case _:
            return f"Kaggle answers {status} for {remote.handle}: try again later, it goes on where it was."


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _unpack(archive: Path) -> None:
    """Unpack an archive into a folder beside it, a table just beside it; what is there with its size stays."""
    with zipfile.ZipFile(archive) as packed:
        target = archive.parent if packed.namelist() == [archive.stem] else archive.with_suffix("")
        for member in packed.infolist():
            there = target / member.filename
            if not member.is_dir() and not (there.is_file() and there.stat().st_size == member.file_size):
                packed.extract(member, target)
