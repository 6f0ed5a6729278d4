"""A producer with broker and store behind an SSH host: no photo is lost if the link or the producer fails."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.jobs.events import EventReader, Queued
from shared.jobs.table import JobTable
from shared.settings import Settings
from shared.storage.object_names import photo_name
from tests.pictures import encode_jpeg, make_picture
from tests.servers import SshServer
from tests.waiting import wait_until


class RemoteProducer:
    """`artdream watch` in a process of its own, with a broker and a store that only the SSH host can connect to."""

    def __init__(self, settings: Settings, sshd: SshServer, folder: Path) -> None:
        self.inbox, self.log, self.store = settings.inbox, folder / "log", folder / "remote"
        remote_settings = settings.model_copy(
            update={
                "ssh": sshd.address,
                "ssh_key": sshd.key,
                "ssh_known_hosts": sshd.known_hosts,
                "store_url": f"ssh+sftp://{sshd.address}{self.store}",
            }
        )
        self._environment = {**os.environ, **remote_settings.to_environment()}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "artdream", "watch"], env=self._environment, stderr=log
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def has_logged(self, text: str) -> bool:
        return text in self.log.read_text()


@pytest.fixture
def remote(settings: Settings, sshd: SshServer, tmp_path: Path) -> Iterator[RemoteProducer]:
    remote = RemoteProducer(settings, sshd, tmp_path)
    yield remote
    remote.kill()


def count_queued(client: redis.Redis) -> Counter[str]:
    """Return the number of queued events of each job."""
    return Counter(
        recorded.event.job_id for recorded in EventReader(client).read() if isinstance(recorded.event, Queued)
    )


def test_photos_arrive_once_each_though_the_link_is_cut_and_the_producer_killed(
    remote: RemoteProducer, sshd: SshServer, client: redis.Redis
) -> None:
    def drop(*numbers: int) -> None:
        for number in numbers:
            (remote.inbox / f"{number}.jpg").write_bytes(encode_jpeg(make_picture(number)))

    def wait_for_jobs(count: int) -> None:
        # Counts jobs, not messages: a message may be sent again after the cut; the worker drops the duplicate.
        wait_until(lambda: len(count_queued(client)) == count, f"{count} photos arrive")

    remote.start()
    drop(0, 1, 2)
    wait_for_jobs(3)
    sshd.kill_sessions()
    drop(3, 4, 5)
    wait_for_jobs(6)
    sshd.stop()
    drop(6, 7, 8)
    wait_until(lambda: remote.has_logged("Photos wait in the spool"), "the producer says that it waits")
    remote.kill()
    remote.start()
    drop(9, 10, 11)
    sshd.start()
    wait_for_jobs(12)
    assert set(count_queued(client).values()) == {1}
    photos = {entry.job.photo_id for entry in JobTable(client).iter_records()}
    assert all((remote.store / photo_name(photo)).stat().st_size > 0 for photo in photos)
    assert not remote.has_logged("Traceback")
