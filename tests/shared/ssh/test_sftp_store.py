"""A folder on another machine is a complete store: objects are whole or absent, and a cut upload resumes."""

import asyncio
import hashlib
import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paramiko
import pytest

from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.ssh.sftp_store import SftpBackend
from shared.storage.object_names import dream_name, frame_name, photo_name
from shared.storage.store import Store, StoreError
from tests.servers import SshServer
from tests.waiting import delayed, wait_until

#: Large enough that the connection can be cut during the upload.
LARGE_OBJECT_BYTES = 40_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the store on the SSH host."""
    return tmp_path / "far" / "a store"


@pytest.fixture
def url(sshd: SshServer, folder: Path) -> str:
    """Return the URL of a store on the SSH host, as the settings build it."""
    url = f"ssh+sftp://{sshd.address}{folder.as_uri().removeprefix('file://')}"
    settings = Settings(store_url=url, ssh_key=sshd.key, ssh_known_hosts=sshd.known_hosts, _env_file=None)
    return settings.store


def test_what_is_put_over_ssh_is_got_listed_and_removed(url: str, folder: Path) -> None:
    store = Store(url)
    assert store.get(photo_name("ab")) is None
    assert list(store.list_objects("")) == []
    store.put(photo_name("ab"), b"pixels")
    store.put(photo_name("ab"), b"other pixels")
    store.put(frame_name("job", 1), b"")
    store.put(dream_name("job"), b"dream")
    assert Store(url).get(photo_name("ab")) == b"other pixels"
    assert asyncio.run(store.get_async(frame_name("job", 1))) == b""
    assert asyncio.run(store.get_size_async(photo_name("ab"))) == 12
    assert store.exists(photo_name("ab"))
    assert asyncio.run(store.get_range_async(photo_name("ab"), 6, 10)) == b"pixe"
    assert asyncio.run(store.get_size_async(photo_name("cd"))) is None
    assert not store.exists(photo_name("cd"))
    assert asyncio.run(store.get_range_async(photo_name("cd"), 0, 1)) is None
    assert {entry.name for entry in store.list_objects("dreams/")} == {dream_name("job"), frame_name("job", 1)}
    assert len(list(store.list_objects(""))) == 3
    assert store.presign_url(photo_name("ab"), 60) is None
    for name in (photo_name("ab"), photo_name("ab"), dream_name("job"), frame_name("job", 1)):
        store.delete(name)
    assert [path.name for path in folder.iterdir()] == [".parts"]


def test_a_host_far_away_is_asked_few_times_for_a_photo(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, photo = Store(url), os.urandom(400_000)
    store.put(photo_name("ab"), photo)  # connects, and makes the folders
    client_class: Any = paramiko.SFTPClient
    requests, send_request = list[int](), client_class._request

    def record_and_send(sftp: paramiko.SFTPClient, kind: int, *arguments: object) -> tuple[int, object]:
        requests.append(kind)
        return send_request(sftp, kind, *arguments)

    monkeypatch.setattr(paramiko.SFTPClient, "_request", record_and_send)
    read_response = client_class._read_response

    def read_late(sftp: paramiko.SFTPClient, *arguments: object) -> object:
        """Read a response once all parts of a photo are requested: with earlier responses paramiko requests more."""
        wait_until(lambda: not any("_prefetch_thread" in thread.name for thread in threading.enumerate()))
        return read_response(sftp, *arguments)

    monkeypatch.setattr(paramiko.SFTPClient, "_read_response", delayed(read_late, seconds=0.02))
    store.put(photo_name("cd"), photo)
    assert len(requests) == 4, "open, close, look, rename; the pixels go up without waiting"
    requests.clear()
    assert store.get(photo_name("cd")) == photo
    assert len(requests) <= 3, "open, look, close"


def test_an_object_comes_down_into_a_file(url: str, tmp_path: Path) -> None:
    store, data = Store(url), os.urandom(3_000_000)
    store.put("clip.mp4", data)
    assert store.fetch("clip.mp4", tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == data
    assert not store.fetch("nothing.mp4", tmp_path / "nothing.mp4")


def test_no_name_leads_out_of_the_folder(url: str, folder: Path) -> None:
    for name in ("../photo.jpg", "photos/../../photo.jpg", "/photo.jpg"):
        with pytest.raises(ArtDreamError, match="is no object's name"):
            Store(url).put(name, b"x")
    assert not folder.parent.exists()


def test_many_threads_share_a_store(url: str) -> None:
    store = Store(url)
    payloads = {photo_name(str(index)): os.urandom(50_000) for index in range(40)}
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(store.put, payloads, payloads.values()))
        assert list(pool.map(store.get, payloads)) == list(payloads.values())


def test_two_who_put_the_same_do_not_disturb_each_other(url: str) -> None:
    data = os.urandom(2_000_000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Store(url).put(photo_name("ab"), data), range(8)))
    assert Store(url).get(photo_name("ab")) == data


def test_a_connection_that_was_cut_while_idle_is_not_noticed(url: str, sshd: SshServer) -> None:
    store = Store(url)
    store.put(photo_name("ab"), b"pixels")
    sshd.kill_sessions()
    assert store.get(photo_name("ab")) == b"pixels"
    sshd.stop()
    with pytest.raises(StoreError, match=r"could not be read from the store ssh\+sftp://\S+store: the SSH host"):
        store.get(photo_name("ab"))
    sshd.start()
    assert store.get(photo_name("ab")) == b"pixels"


def test_an_upload_that_was_cut_shows_nothing_and_goes_on_where_it_was(
    url: str, folder: Path, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, data, errors = Store(url), os.urandom(LARGE_OBJECT_BYTES), []

    def put() -> None:
        try:
            store.put(photo_name("ab"), data)
        except StoreError as error:
            errors.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    wait_until(lambda: _count_arrived_bytes(folder) > LARGE_OBJECT_BYTES / 10, "a part of it has arrived")
    sshd.stop()
    thread.join()
    assert len(errors) == 1, "it was whole before it was cut: make it larger"
    arrived_bytes = _count_arrived_bytes(folder)
    assert arrived_bytes < LARGE_OBJECT_BYTES

    sshd.start()
    assert store.get(photo_name("ab")) is None
    assert list(store.list_objects("")) == []

    sent_sizes = _record_sent_bytes(monkeypatch)
    store.put(photo_name("ab"), data)
    assert sum(sent_sizes) == LARGE_OBJECT_BYTES - arrived_bytes
    assert store.get(photo_name("ab")) == data


def test_what_is_not_how_the_object_begins_is_not_built_upon(url: str, folder: Path) -> None:
    store, data = Store(url), os.urandom(2_000_000)
    key = hashlib.sha256(photo_name("ab").encode() + b"\0" + data).hexdigest()
    parts = folder / ".parts"
    parts.mkdir(parents=True)
    for wrong_content in (bytes(500_000), bytes(4_000_000)):
        (parts / f"{key}-left").write_bytes(wrong_content)
        store.put(photo_name("ab"), data)
        assert store.get(photo_name("ab")) == data
        assert list(parts.iterdir()) == [], "it was taken up"


def test_what_nobody_finished_is_swept_away_after_a_day(url: str, folder: Path) -> None:
    parts = folder / ".parts"
    parts.mkdir(parents=True)
    for name, age in (("old", 25), ("new", 23)):
        (parts / name).write_bytes(b"half")
        modified_at = (parts / name).stat().st_mtime - age * 3600
        os.utime(parts / name, (modified_at, modified_at))
    Store(url).put(photo_name("ab"), b"pixels")
    assert [path.name for path in parts.iterdir()] == ["new"]


def test_a_host_that_falls_silent_is_given_up_in_time(
    url: str, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = SftpBackend(url, timeout=3)
    drop_connection = backend._drop_connection

    def drop_and_resume(sftp: paramiko.SFTPClient) -> None:
        drop_connection(sftp)
        sshd.resume()

    monkeypatch.setattr(backend, "_drop_connection", drop_and_resume)
    backend.put(photo_name("ab"), b"pixels", "image/jpeg")
    sshd.hang()
    assert backend.get(photo_name("ab")) == b"pixels", "the first connection is given up, the second is answered"


def test_a_host_that_is_not_known_is_refused(url: str, sshd: SshServer) -> None:
    sshd.known_hosts.unlink()
    with pytest.raises(ArtDreamError, match="is not known: it shows the key SHA256:") as raised:
        Store(url).get(photo_name("ab"))
    assert not isinstance(raised.value, StoreError)


def test_a_forked_child_leaves_its_parents_connection_alone(url: str) -> None:
    store = Store(url)
    store.put(photo_name("ab"), b"pixels")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is the point
        child_pid = os.fork()
    if child_pid == 0:
        os._exit(store.get(photo_name("ab")) != b"pixels")
    assert os.waitpid(child_pid, 0)[1] == 0
    assert store.get(photo_name("ab")) == b"pixels"


def test_a_folder_that_cannot_be_written_is_told(url: str, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"photos/ab.jpg could not be written to the store ssh\+sftp://"):
        Store(url).put(photo_name("ab"), b"pixels")


def _count_arrived_bytes(folder: Path) -> int:
    return sum(part.stat().st_size for part in (folder / ".parts").glob("*"))


def _record_sent_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent_sizes: list[int] = []
    write = paramiko.SFTPFile.write

    def record_and_write(self: paramiko.SFTPFile, data: bytes) -> None:
        sent_sizes.append(len(data))
        write(self, data)

    monkeypatch.setattr(paramiko.SFTPFile, "write", record_and_write)
    return sent_sizes
