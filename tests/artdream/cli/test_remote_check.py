"""`artdream deploy check`: check this machine over a real SSH connection; each check prints one line."""

import re
import shutil
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from artdream.cli import remote_check
from artdream.cli.remote_check import RemoteMachine
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.settings import Settings
from tests.servers import SshServer, Valkey
from tests.skip import skip_or_fail
from tests.stack import free_port, run_in_process
from tests.waiting import wait_until

CHECK_NAMES = ["python", "disk", "driver", "memory", "ports", "broker", "worker", "clock"]

DURABLE_CONFIG = {"appendonly": "yes", "maxmemory-policy": "noeviction"}


class FakeVm:
    """This machine as the remote host, with fake programs and settings of its SSH server."""

    def __init__(self, sshd: SshServer, settings: Settings) -> None:
        self._sshd = sshd
        self._programs = sshd.folder / "bin"
        self._programs.mkdir()
        self.settings = settings.model_copy(
            update={"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
        )
        # SHLVL=2: Bash reads no start-up file of this user if it is not the first shell.
        self.append_config(f"SetEnv PATH={self._programs}:/usr/local/bin:/usr/bin:/bin SHLVL=2")

    def append_config(self, line: str) -> None:
        """Add a line to the SSH server's configuration and restart the server."""
        with (self._sshd.folder / "config").open("a") as config:
            config.write(line + "\n")
        self._sshd.stop()
        self._sshd.start()

    def add_program(self, name: str, script: str) -> None:
        """Add a shell script to the PATH of the machine."""
        path = self._programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run_checks(self, **overrides: object) -> dict[str, str]:
        """Run all checks with changed settings, and return mark and finding of each, by check."""
        results = remote_check.check_machine(self.settings.model_copy(update=overrides))
        return {result.name: f"{'✓' if result.passed else '✗'} {result.finding}" for result in results}


@pytest.fixture
def vm(sshd: SshServer, settings: Settings) -> FakeVm:
    return FakeVm(sshd, settings)


@pytest.fixture
def durable_broker(tmp_path: Path) -> Iterator[Valkey]:
    """A broker that passes the check."""
    with Valkey(data_dir=tmp_path / "kept", config=DURABLE_CONFIG) as server:
        yield server


def test_a_machine_that_lacks_nothing_is_told_so(
    vm: FakeVm, durable_broker: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests open ports, and use disk and memory, on this machine meanwhile.
    monkeypatch.setattr(remote_check, "ALLOWED_PORTS", frozenset(range(2**16)))
    monkeypatch.setattr(remote_check, "MIN_FREE_DISK_GB", 0.01)
    monkeypatch.setattr(remote_check, "MIN_FREE_MEMORY_GB", 0.01)
    vm.add_program("nvidia-smi", 'echo "NVIDIA L4, 550.90.07, 23034 MiB"')
    vm.add_program("systemctl", '[ "$*" = "is-active artdream-worker" ] && echo active')
    lines = vm.run_checks(broker_url=_secret(durable_broker.url))
    assert list(lines) == CHECK_NAMES
    assert {line[0] for line in lines.values()} == {"✓"}, lines
    assert lines["driver"] == "✓ NVIDIA L4, 550.90.07, 23034 MiB"


def test_without_a_driver_a_worker_unit_and_a_broker_each_is_told(vm: FakeVm) -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a card")
    vm.add_program("systemctl", "echo inactive; exit 3")
    lines = vm.run_checks(broker_url=_secret(f"redis://127.0.0.1:{free_port()}/0"))
    assert lines["driver"].startswith("✗ nvidia-smi finds no GPU: install NVIDIA's driver, 525 or later")
    assert lines["worker"].startswith("✗ The unit artdream-worker is inactive: ")
    assert "✗ Nothing listens on port" in lines["broker"]
    assert "set ARTDREAM_BROKER_URL" in vm.run_checks(broker_url=None)["broker"]


def test_an_old_driver_and_an_old_python_are_told(vm: FakeVm) -> None:
    vm.add_program("nvidia-smi", 'echo "Tesla T4, 470.82.01, 15360 MiB"')
    vm.add_program("python3", "echo 3.9.2 Linux x86_64")
    lines = vm.run_checks()
    assert lines["driver"].startswith("✗ The driver is too old (Tesla T4, 470.82.01, 15360 MiB)")
    assert lines["python"].startswith("✗ Python is 3.9.2 Linux x86_64: ")


def test_a_full_disk_and_little_memory_are_told(vm: FakeVm) -> None:
    vm.add_program("df", "echo F B U A C M; echo /dev/vda1 100 95 2000000 95% /")
    vm.add_program("cat", "echo 'MemAvailable:     512000 kB'")
    lines = vm.run_checks()
    assert lines["disk"] == "✗ 2.0 GB are free at /: an installation needs 10 GB."
    assert lines["memory"] == "✗ 0.5 GB of memory are free: a worker needs 4 GB."


@pytest.mark.parametrize(
    ("wildcard", "loopback"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::ffff:0.0.0.0", "::ffff:127.0.0.1")]
)
def test_what_listens_to_the_network_is_told_and_what_listens_to_the_machine_is_not(
    vm: FakeVm, wildcard: str, loopback: str
) -> None:
    with socket.socket(_address_family(wildcard)) as public, socket.socket(_address_family(wildcard)) as private:
        for listener, address in ((public, wildcard), (private, loopback)):
            try:
                if listener.family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                listener.bind((address, 0))
            except OSError:
                pytest.skip("this machine speaks no IPv6")
            listener.listen()
        line = vm.run_checks()["ports"]
        reported_ports = {int(number) for number in re.findall(r"\d+", line.partition(":")[0])}
        assert public.getsockname()[1] in reported_ports
        assert private.getsockname()[1] not in reported_ports
    assert line.startswith("✗ A program is open to the network on port")


def _address_family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def test_a_broker_that_forgets_or_is_open_is_told(vm: FakeVm, tmp_path: Path) -> None:
    config = {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}
    with Valkey(data_dir=tmp_path / "careless", config=config) as server:
        with connect(server.url) as client:
            client.config_set("bind", "0.0.0.0")
        line = vm.run_checks(broker_url=_secret(f"redis://127.0.0.1:{server.port}/0"))["broker"]
    assert "it is open to the network on port" in line
    assert "set maxmemory-policy noeviction" in line
    assert "set appendonly yes" in line


def test_a_clock_that_is_wrong_is_told(vm: FakeVm) -> None:
    if not shutil.which("faketime"):
        skip_or_fail("needs faketime: apt install faketime")
    vm.append_config('ForceCommand faketime -f +90s sh -c "$SSH_ORIGINAL_COMMAND"')
    line = vm.run_checks()["clock"]
    assert line.startswith("✗ Its clock is ")
    assert "s ahead of this one" in line
    assert 60 < float(line.split()[4]) < 120  # a busy machine answers late


def test_a_host_that_does_not_answer_is_one_sentence(sshd: SshServer, tmp_path: Path) -> None:
    sshd.stop()
    completed = run_in_process("deploy", "check", sshd.address, folder=tmp_path, environment=_ssh_environment(sshd))
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert completed.stderr.startswith(f"artdream: Cannot connect: the SSH host {sshd.address} does not answer (")
    assert completed.stderr.count("\n") == 1


def test_a_key_that_is_refused_is_one_sentence(sshd: SshServer, tmp_path: Path) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    completed = run_in_process("deploy", "check", sshd.address, folder=tmp_path, environment=_ssh_environment(sshd))
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert "does not let" in completed.stderr
    assert "ssh-copy-id" in completed.stderr
    assert completed.stderr.count("\n") == 1


def test_a_connection_that_breaks_between_two_checks_is_one_sentence(
    vm: FakeVm, sshd: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_disk = remote_check._check_disk

    def kill_sessions_and_check(machine: RemoteMachine) -> Any:
        sshd.kill_sessions()
        return check_disk(machine)

    monkeypatch.setitem(remote_check._CHECKS, "disk", kill_sessions_and_check)
    with pytest.raises(ArtDreamError, match="closed the connection"):
        vm.run_checks()


def test_a_connection_that_breaks_during_a_check_is_one_sentence(vm: FakeVm, sshd: SshServer, tmp_path: Path) -> None:
    """Seen failing: the last check said that "date says nothing"."""
    started = tmp_path / "started"
    vm.add_program("date", f"touch {started}; exec sleep 600")

    def break_connection() -> None:
        wait_until(started.exists, "the check of the clock runs")
        sshd.kill_sessions()

    with ThreadPoolExecutor() as threads:
        breaking = threads.submit(break_connection)
        with pytest.raises(ArtDreamError, match="closed the connection"):
            vm.run_checks()
        breaking.result()


def test_the_command_ends_with_1_where_something_lacks(sshd: SshServer, tmp_path: Path) -> None:
    completed = run_in_process("deploy", "check", sshd.address, folder=tmp_path, environment=_ssh_environment(sshd))
    assert completed.returncode == 1
    assert [line.split()[1] for line in completed.stdout.splitlines()] == CHECK_NAMES
    assert completed.stderr == ""


def _ssh_environment(sshd: SshServer) -> dict[str, str]:
    return {"ARTDREAM_SSH_KEY": str(sshd.key), "ARTDREAM_SSH_KNOWN_HOSTS": str(sshd.known_hosts), "COLUMNS": "400"}


def _secret(url: str) -> SecretStr:
    return SecretStr(url)
