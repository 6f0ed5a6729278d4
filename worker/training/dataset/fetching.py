"""Fetching paintings from Kaggle, with its own client, which goes on where it was cut off and shows how far it is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError


class Published(NamedTuple):
    """Paintings that somebody published."""

    handle: str
    #: A competition's files are given only to who has accepted its rules.
    competition: bool

    @property
    def page(self) -> str:
        """Its page."""
        return f"https://www.kaggle.com/{'competitions' if self.competition else 'datasets'}/{self.handle}"


PUBLISHED: Mapping[str, Published] = {
    "painter-by-numbers": Published("painter-by-numbers", competition=True),
    "best-artworks": Published("ikarus777/best-artworks-of-all-time", competition=False),
}

#: Where the client keeps what it fetches, so that nothing has to be fetched twice.
_CACHE = "KAGGLEHUB_CACHE"


def fetch(name: str, target: Path) -> Path:
    """Fetch paintings, and return the folder that they lie in.

    Called again it goes on where it was cut off, and fetches nothing that is there. Raises ArtDreamError where Kaggle
    does not know who asks, does not let them, or cannot be reached, and where there is no room.
    """
    published = PUBLISHED.get(name)
    if published is None:
        raise ArtDreamError(f"There is nothing to fetch called “{name}”: take one of {', '.join(PUBLISHED)}.")
    target.mkdir(parents=True, exist_ok=True)
    os.environ[_CACHE] = str(target.absolute())
    import requests
    from kagglehub import competition_download, dataset_download
    from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError, UnauthenticatedError

    download = competition_download if published.competition else dataset_download
    try:
        return Path(download(published.handle))
    except UnauthenticatedError:
        raise ArtDreamError(
            "Kaggle does not know who asks: make a token at https://www.kaggle.com/settings/api, and set "
            "KAGGLE_API_TOKEN, or put the file kaggle.json into ~/.kaggle."
        ) from None
    except (KaggleApiHTTPError, requests.HTTPError) as error:
        status = error.response.status_code if error.response is not None else 0
        do = f"look at {published.page}"
        if status in (401, 403):
            do = f"accept the rules at {published.page}" if published.competition else "make a new token"
        raise ArtDreamError(f"Kaggle did not give “{name}” ({status}): {do}, and try again.") from None
    except requests.RequestException as error:
        raise ArtDreamError(
            f"Kaggle could not be reached for “{name}” ({type(error).__name__}): connect this machine and try again; "
            "what has come already is kept."
        ) from None
    except DataCorruptionError:
        raise ArtDreamError(f"What came of “{name}” is damaged: try again.") from None
    except OSError as error:
        free = shutil.disk_usage(target).free / 1e9
        raise ArtDreamError(
            f"“{name}” could not be kept in {target} ({error.strerror}; {free:.0f} GB are free)."
        ) from None
