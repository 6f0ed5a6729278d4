"""Download data sets with Kaggle's own client, which resumes interrupted downloads."""

import logging
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError, did_you_mean

#: Consecutive retries of a download without progress.
MAX_STALLED_RETRIES = 3

#: Seconds before a retry.
RETRY_DELAY_SECONDS = 5.0

#: Environment variable of the client's download folder. Its `output_dir` does not resume a download, this does (1.0.3).
CACHE_VARIABLE = "KAGGLEHUB_CACHE"

#: All credentials that the client accepts.
CREDENTIALS_HELP = (
    "make a token at kaggle.com/settings and say it in KAGGLE_API_TOKEN, or in KAGGLE_USERNAME and KAGGLE_KEY, "
    "or put its kaggle.json into ~/.kaggle"
)


@dataclass(frozen=True)
class KaggleDataset:
    """A data set on Kaggle."""

    handle: str
    #: The rules of a competition must be accepted once, in a browser.
    is_competition: bool

    @property
    def url(self) -> str:
        """The address of the data set's page."""
        return f"kaggle.com/{'competitions' if self.is_competition else 'datasets'}/{self.handle}"


#: The data sets by their name on the command line.
KAGGLE_DATASETS = {
    "painter-by-numbers": KaggleDataset("painter-by-numbers", is_competition=True),
    "best-artworks-of-all-time": KaggleDataset("ikarus777/best-artworks-of-all-time", is_competition=False),
}


def download_dataset(
    name: str,
    folder: Path,
    file: str | None = None,
    *,
    on_retry: Callable[[str], None] = lambda _: None,
    retry_delay: float = RETRY_DELAY_SECONDS,
) -> Path:
    """Download a data set, or one file of it, into a folder, unpack its archives, and return the path.

    Existing files are not downloaded again; an interrupted download is resumed. The client prints its progress to
    stderr. on_retry: called with the reason before each retry, `retry_delay` seconds before it. Raises ArtDreamError if
    the name is unknown, credentials are missing, the rules are not accepted, Kaggle is unavailable, or the folder
    cannot be written.
    """
    remote = KAGGLE_DATASETS.get(name)
    if remote is None:
        raise ArtDreamError(f"There is nothing to fetch for “{name}”. {did_you_mean(name, KAGGLE_DATASETS)}")
    try:
        with _use_cache_folder(folder):
            path = _download_with_retries(remote, folder, file, on_retry, retry_delay)
        for archive in [path] if path.is_file() else sorted(path.glob("*.zip")):
            if archive.suffix == ".zip":
                _unpack(archive)
    except zipfile.BadZipFile as error:
        raise ArtDreamError(f"An archive in {folder} is broken: delete it, and fetch it again.") from error
    except OSError as error:
        raise ArtDreamError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return path


@contextmanager
def _use_cache_folder(folder: Path) -> Iterator[None]:
    previous = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[CACHE_VARIABLE]
        if previous is not None:
            os.environ[CACHE_VARIABLE] = previous


def _download_with_retries(
    remote: KaggleDataset, folder: Path, file: str | None, on_retry: Callable[[str], None], retry_delay: float
) -> Path:
    try:
        import kagglehub
        import requests
        from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, UnauthenticatedError
    except ImportError as error:
        raise ArtDreamError("Kaggle's client is not installed here: install `artdream[train]`.") from error
    logging.getLogger("kagglehub").setLevel(logging.WARNING)  # its progress bar is enough
    download = kagglehub.competition_download if remote.is_competition else kagglehub.dataset_download
    retries_left, previous_size = MAX_STALLED_RETRIES, _count_bytes(folder)
    while True:
        try:
            return Path(download(remote.handle, file))
        except UnauthenticatedError as error:
            raise ArtDreamError(f"Kaggle wants to know who you are: {CREDENTIALS_HELP}.") from error
        except KaggleApiHTTPError as error:
            raise ArtDreamError(_explain_refusal(remote, file, error.response.status_code)) from error
        except (requests.RequestException, DataCorruptionError) as error:
            current_size = _count_bytes(folder)
            retries_left = MAX_STALLED_RETRIES if current_size > previous_size else retries_left - 1
            if retries_left < 0 or not folder.is_dir():
                raise ArtDreamError(
                    f"Kaggle is unavailable or broke off ({type(error).__name__}). Run the same command again later."
                ) from error
            previous_size = current_size
            on_retry(type(error).__name__)
            time.sleep(retry_delay)
        except ValueError as error:  # for an invalid credentials file, or an archive of unknown type
            raise ArtDreamError(f"Kaggle's client failed: {error}.") from error


def _explain_refusal(remote: KaggleDataset, file: str | None, status: int) -> str:
    match status:
        case 401:
            return f"Kaggle does not accept your credentials, or wants some: {CREDENTIALS_HELP}."
        case 403 if remote.is_competition:
            return f"Kaggle refuses {remote.handle}: accept its rules once, at {remote.url}/rules."
        case 403:
            return f"Kaggle refuses {remote.handle}: see {remote.url}, and {CREDENTIALS_HELP}."
        case 404:
            return f"Kaggle has no {f'file {file} in ' if file else ''}{remote.handle}: see {remote.url}."
        case _:
            return f"Kaggle answers {status} for {remote.handle}: try again later; the download resumes."


def _count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _unpack(archive: Path) -> None:
    """Unpack an archive into a folder beside it, a single table beside it; files of the right size are kept."""
    with zipfile.ZipFile(archive) as packed:
        target = archive.parent if packed.namelist() == [archive.stem] else archive.with_suffix("")
        for member in packed.infolist():
            path = target / member.filename
            if not member.is_dir() and not (path.is_file() and path.stat().st_size == member.file_size):
                packed.extract(member, target)
