"""Data sets are downloaded with Kaggle's real client, here from a stand-in server that cuts connections."""

import gc
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import ArtDreamError
from tests.worker.training.dataset.fake_kaggle import FakeKaggle
from worker.training.dataset.download import download_dataset

pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)

ARTWORKS_SOURCE = "best-artworks-of-all-time"

#: Size of a picture that does not compress, in bytes: a few of the client's chunks of 1 MiB.
PICTURE_BYTES = 5_000_000


@pytest.fixture(autouse=True, scope="module")
def _closed_connections() -> Iterator[None]:
    """Kaggle's client leaves connections of broken downloads to the garbage collector; Python 3.13 warns of them."""
    yield
    gc.collect()


def download(*arguments: Any, **options: Any) -> Path:
    """Call `download_dataset` in a thread: Kaggle's client searches the call stack, and that of a test is deep."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(download_dataset, *arguments, **options).result()


def make_zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


PICTURE_CONTENT = np.random.default_rng(0).bytes(PICTURE_BYTES)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaggle]:
    """Yield a stand-in Kaggle, with a home directory and an environment without credentials."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLEHUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with FakeKaggle(make_zip({"images/Ada_Blau/1.jpg": PICTURE_CONTENT})) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_a_download_that_breaks_off_goes_on_and_arrives_whole(kaggle: FakeKaggle, tmp_path: Path) -> None:
    kaggle.break_offsets = [2_000_000, 1_500_000]
    retry_messages: list[str] = []
    path = download(ARTWORKS_SOURCE, tmp_path / "sets", on_retry=retry_messages.append, retry_delay=0)
    assert (path / "images" / "Ada_Blau" / "1.jpg").read_bytes() == PICTURE_CONTENT
    assert len(retry_messages) == 2
    assert path.is_relative_to(tmp_path / "sets")
    assert max(kaggle.download_offsets) == 2 * 1024**2
    download_count = len(kaggle.download_offsets)
    assert download(ARTWORKS_SOURCE, tmp_path / "sets") == path
    assert len(kaggle.download_offsets) == download_count


def test_one_that_broke_off_for_good_goes_on_with_the_next_command(kaggle: FakeKaggle, tmp_path: Path) -> None:
    kaggle.break_offsets = [3_000_000, *[0] * 4]
    with pytest.raises(ArtDreamError, match=r"Kaggle is unavailable or broke off \(.*\)\. Run the same command again"):
        download(ARTWORKS_SOURCE, tmp_path, retry_delay=0)
    kaggle.break_offsets, kaggle.download_offsets = [], []
    path = download(ARTWORKS_SOURCE, tmp_path)
    assert (path / "images" / "Ada_Blau" / "1.jpg").read_bytes() == PICTURE_CONTENT
    assert max(kaggle.download_offsets) == 2 * 1024**2


def test_archives_of_a_competition_are_unpacked(
    kaggle: FakeKaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    kaggle.archive = make_zip(
        {
            "train_1.zip": make_zip({"1.jpg": b"one", "2.jpg": b"two"}),
            "all_data_info.csv.zip": make_zip({"all_data_info.csv": b"artist,new_filename\n"}),
        }
    )
    path = download("painter-by-numbers", tmp_path)
    assert (path / "train_1" / "2.jpg").read_bytes() == b"two"
    assert (path / "all_data_info.csv").read_bytes() == b"artist,new_filename\n"
    assert kaggle.authorization_headers[0] == "Bearer a-token"


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("painter-by-numbers", 0, r"Kaggle wants to know who you are: make a token at kaggle\.com/settings and say it"),
        (ARTWORKS_SOURCE, 401, "Kaggle does not accept your credentials, or wants some: make a token"),
        (
            ARTWORKS_SOURCE,
            403,
            r"Kaggle refuses ikarus777/best-artworks-of-all-time: see kaggle\.com/datasets/ikarus777/",
        ),
        (ARTWORKS_SOURCE, 404, "Kaggle has no ikarus777/best-artworks-of-all-time: see"),
        (ARTWORKS_SOURCE, 500, "Kaggle answers 500 for ikarus777/best-artworks-of-all-time: try again later"),
        ("painter", 0, r"There is nothing to fetch for “painter”\. Did you mean painter-by-numbers"),
    ],
)
def test_a_refusal_says_what_to_do(kaggle: FakeKaggle, tmp_path: Path, name: str, status: int, sentence: str) -> None:
    kaggle.refusal_status = status
    with pytest.raises(ArtDreamError, match=sentence):
        download(name, tmp_path)


def test_rules_that_were_not_accepted_are_named(
    kaggle: FakeKaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "ada")
    monkeypatch.setenv("KAGGLE_KEY", "key")
    kaggle.refusal_status = 403
    with pytest.raises(ArtDreamError, match=r"accept its rules once, at kaggle\.com/.*painter-by-numbers/rules\.$"):
        download("painter-by-numbers", tmp_path)


def test_a_credentials_file_that_is_broken_is_named(kaggle: FakeKaggle, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kaggle.json").write_text("{")
    with pytest.raises(ArtDreamError, match=r"client failed: Invalid Kaggle credentials file at .*kaggle\.json"):
        download("painter-by-numbers", tmp_path)
