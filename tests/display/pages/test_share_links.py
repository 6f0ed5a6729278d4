"""Share links: signed by the display's key, valid for a limited time and for one dream."""

import base64
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from display.pages.share_links import KEY_FILE, ShareLinks
from shared.errors import ArtDreamError
from shared.public_url import resolve_public_url
from shared.settings import Settings

JOB_ID = "0123456789abcdef0123456789abcdef"
SECRET = "a secret that several displays share"


def make_settings(folder: Path, **overrides: Any) -> Settings:
    return Settings(data=folder / "data", _env_file=None, **overrides)


def test_a_token_says_its_job_and_when_it_ends(tmp_path: Path) -> None:
    links = ShareLinks(make_settings(tmp_path, links_days=2))
    link = links.parse_token(links.make_token(JOB_ID))
    assert link
    assert link.job_id == JOB_ID
    assert not link.is_expired
    assert 0 <= link.expires_at - (time.time() + 2 * 86_400) <= 3600


def test_an_expired_token_is_told_from_a_forged_one(tmp_path: Path) -> None:
    links = ShareLinks(make_settings(tmp_path))
    link = links.parse_token(links.make_token(JOB_ID, expires_at=time.time() - 7200))
    assert link
    assert link.is_expired
    assert link.job_id == JOB_ID


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> ShareLinks:
    return ShareLinks(make_settings(tmp_path_factory.mktemp("links")))


job_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(job_id=job_ids, expires_at=st.integers(0, 3600 * (2**24 - 1)))
def test_a_token_is_read_as_it_was_made_to_the_hour(links: ShareLinks, job_id: str, expires_at: int) -> None:
    link = links.parse_token(links.make_token(job_id, expires_at=expires_at))
    assert link
    assert link.job_id == job_id
    assert 0 <= link.expires_at - expires_at < 3600


def test_not_a_bit_of_a_token_can_be_changed(links: ShareLinks) -> None:
    data = bytearray(base64.urlsafe_b64decode(links.make_token(JOB_ID)))
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert links.parse_token(base64.urlsafe_b64encode(changed).decode()) is None


@given(job_id=job_ids, start=st.integers(0, 40), length=st.integers(0, 3), text=st.text(max_size=3))
def test_not_a_character_of_a_token_can_be_changed(
    links: ShareLinks, job_id: str, start: int, length: int, text: str
) -> None:
    token = links.make_token(job_id)
    for changed in (
        token[:start] + text + token[start + length :],
        token.translate(str.maketrans("-_", "+/")),  # the same bytes in the other alphabet of base64
    ):
        assert changed == token or links.parse_token(changed) is None


@pytest.mark.parametrize("token", ["", "x", "A" * 40, "A" * 39, "A" * 41, "ä" * 40, "../" * 13 + "x", "A" * 39 + "\n"])
def test_what_is_no_token_is_wrong(tmp_path: Path, token: str) -> None:
    assert ShareLinks(make_settings(tmp_path)).parse_token(token) is None


def test_the_key_outlives_a_restart_and_is_for_the_owner_alone(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    token = ShareLinks(settings).make_token(JOB_ID)
    assert ShareLinks(settings).parse_token(token)
    assert (settings.data / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in settings.data.iterdir()] == [KEY_FILE]
    (settings.data / KEY_FILE).unlink()
    assert ShareLinks(settings).parse_token(token) is None


def test_displays_that_share_a_secret_read_each_other_s_links(tmp_path: Path) -> None:
    first, second = (ShareLinks(make_settings(tmp_path / name, links_secret=SECRET)) for name in ("one", "other"))
    assert second.parse_token(first.make_token(JOB_ID))
    third = ShareLinks(make_settings(tmp_path / "third", links_secret=SECRET.upper()))
    assert third.parse_token(first.make_token(JOB_ID)) is None
    assert not (tmp_path / "one").exists()


def test_a_key_that_is_cut_short_is_not_used(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    settings.data.mkdir()
    (settings.data / KEY_FILE).write_bytes(b"")
    with pytest.raises(ArtDreamError, match="cut short"):
        ShareLinks(settings)


def test_phones_are_led_to_where_they_can_get(tmp_path: Path) -> None:
    def resolve(**overrides: object) -> str | None:
        return resolve_public_url(make_settings(tmp_path, **overrides))

    assert resolve(public_url="none", host="0.0.0.0") is None
    assert resolve(public_url="https://dream.example.org/") == "https://dream.example.org"
    assert resolve(host="192.168.7.5", port=80) == "http://192.168.7.5:80"
    assert resolve(host="fd00::5") == "http://[fd00::5]:8501"
    for loopback_host in ("127.0.0.1", "::1", "localhost"):
        assert resolve(host=loopback_host) is None
        assert ShareLinks(make_settings(tmp_path, host=loopback_host)).make_url(JOB_ID) is None


def test_a_display_that_is_open_to_the_network_knows_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Probe:
        address: str

        def __init__(self, *_: object) -> None: ...
        def __enter__(self) -> "Probe":
            return self

        def __exit__(self, *_: object) -> None: ...
        def connect(self, _: object) -> None: ...
        def getsockname(self) -> tuple[str, int]:
            return self.address, 1

    monkeypatch.setattr(socket, "socket", Probe)
    for Probe.address, expected_url in {"192.168.1.23": "http://192.168.1.23:8501", "127.0.0.1": None}.items():
        assert resolve_public_url(make_settings(tmp_path, host="0.0.0.0")) == expected_url
