"""The broker is reached through the SSH host, only if its host key is known, and again after every failure."""

import hashlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.settings import BROKER_FILE, Settings
from shared.ssh.broker_tunnel import open_broker_tunnel
from shared.ssh.connection import Account
from shared.ssh.port_forward import PortForward
from tests.servers import SshServer, fork_child
from tests.stack import free_port
from tests.waiting import wait_until

#: Bytes that are sent and echoed back.
LOAD_BYTES = 20_000_000


@pytest.fixture
def remote_settings(settings: Settings, sshd: SshServer) -> Settings:
    """Return the settings of an installation whose broker is behind the SSH host."""
    ssh = {"ssh": sshd.address, "ssh_key": sshd.key, "ssh_known_hosts": sshd.known_hosts}
    return settings.model_copy(update=ssh)


@pytest.fixture
def echo_port() -> Iterator[int]:
    """Yield the port of an echo server, which closes a connection once the client has shut down its side."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        port = int(listener.getsockname()[1])
        stop_requested = threading.Event()

        def echo(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while data := connection.recv(2**16):
                    connection.sendall(data)

        def accept() -> None:
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=echo, args=(connection,), daemon=True).start()
                if stop_requested.is_set():
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield port
        stop_requested.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def test_a_broker_behind_the_ssh_host_is_reached(remote_settings: Settings, settings: Settings) -> None:
    with open_broker_tunnel(remote_settings) as tunnel_settings:
        assert tunnel_settings.broker != remote_settings.broker
        assert tunnel_settings.ssh is None
        with connect(tunnel_settings.broker) as via_tunnel, connect(settings.broker) as direct:
            via_tunnel.set("word", "heard")
            assert direct.get("word") == "heard"
        port = tunnel_settings.broker.rpartition(":")[2].partition("/")[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)))


def test_without_an_ssh_host_nothing_changes(settings: Settings) -> None:
    with open_broker_tunnel(settings) as tunnel_settings:
        assert tunnel_settings is settings


def test_the_broker_of_the_stack_on_this_machine_is_not_looked_for_elsewhere(remote_settings: Settings) -> None:
    remote_settings.data.mkdir()
    (remote_settings.data / BROKER_FILE).write_text(remote_settings.broker)
    with open_broker_tunnel(remote_settings) as tunnel_settings:
        assert tunnel_settings is remote_settings


def test_the_brokers_password_goes_along(remote_settings: Settings) -> None:
    with open_broker_tunnel(
        remote_settings.model_copy(update={"broker_url": SecretStr("redis://:hush%40hush@10.0.0.7/3")})
    ) as tunnel_settings:
        assert tunnel_settings.broker.startswith("redis://:hush%40hush@127.0.0.1:")
        assert tunnel_settings.broker.endswith("/3")


def test_a_host_that_is_not_known_is_refused_with_the_command_that_accepts_it(
    remote_settings: Settings, sshd: SshServer
) -> None:
    sshd.known_hosts.unlink()
    with pytest.raises(ArtDreamError, match=r"is not known: it shows the key SHA256:\S+ \(ssh-ed25519\)") as raised:
        _expect_refusal(remote_settings)
    assert not sshd.known_hosts.exists()
    command = str(raised.value).split("`")[-2]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    with open_broker_tunnel(remote_settings) as tunnel_settings, connect(tunnel_settings.broker) as client:
        assert client.ping()


def test_a_host_whose_key_has_changed_is_refused_loudly(remote_settings: Settings, sshd: SshServer) -> None:
    sshd.stop()
    sshd.renew_host_key()
    sshd.start()
    known = sshd.known_hosts.read_text()
    with pytest.raises(ArtDreamError, match=r"THE KEY OF THE SSH HOST 127.0.0.1 HAS CHANGED.*SHA256:.*SHA256:.*-R"):
        _expect_refusal(remote_settings)
    assert sshd.known_hosts.read_text() == known


def test_a_key_that_is_not_let_in_is_told(remote_settings: Settings, sshd: SshServer) -> None:
    (sshd.folder / "authorized_keys").write_text("")
    with pytest.raises(ArtDreamError, match=rf"does not let .* in with the key {sshd.key}: .*`ssh-copy-id"):
        _expect_refusal(remote_settings)


def test_what_is_no_key_is_told(remote_settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("no key")
    for key in (tmp_path / "key", tmp_path / "missing"):
        with pytest.raises(ArtDreamError, match=rf"The SSH key {key} cannot be used"):
            _expect_refusal(remote_settings.model_copy(update={"ssh_key": key}))


@pytest.mark.parametrize("address", ["host", "@host", "user@", "user@host:port", "user@host:99999"])
def test_an_address_that_is_none_is_told(remote_settings: Settings, address: str) -> None:
    with pytest.raises(ArtDreamError, match=f"“{address}” is no address of an SSH host"):
        _expect_refusal(remote_settings.model_copy(update={"ssh": address}))


def test_a_password_in_the_address_is_refused_and_not_shown(remote_settings: Settings) -> None:
    with pytest.raises(ArtDreamError, match="without passwords") as raised:
        _expect_refusal(remote_settings.model_copy(update={"ssh": "user:hush@host"}))
    assert "hush" not in str(raised.value)


def test_a_host_that_is_down_at_the_start_is_waited_for(remote_settings: Settings, sshd: SshServer) -> None:
    sshd.stop()
    with open_broker_tunnel(remote_settings) as tunnel_settings, connect(tunnel_settings.broker) as client:
        with pytest.raises(BROKER_UNAVAILABLE):
            client.ping()
        sshd.start()
        wait_until(lambda: _is_answering(client), "the broker answers once the host is up")


def test_clients_recover_when_connections_are_cut_and_when_the_host_restarts(
    remote_settings: Settings, sshd: SshServer
) -> None:
    with open_broker_tunnel(remote_settings) as tunnel_settings, connect(tunnel_settings.broker) as client:
        client.set("word", "kept")
        sshd.kill_sessions()
        wait_until(lambda: _is_answering(client), "the broker answers after a cut")
        sshd.stop()
        with pytest.raises(BROKER_UNAVAILABLE):
            client.ping()
        sshd.start()
        wait_until(lambda: _is_answering(client), "the broker answers after a restart")
        assert client.get("word") == "kept"


def test_a_host_that_falls_silent_is_given_up_in_time(sshd: SshServer, echo_port: int) -> None:
    with PortForward(_make_account(sshd), ("127.0.0.1", echo_port), probe_interval=0.2, probe_timeout=4) as forward:
        with socket.create_connection(("127.0.0.1", forward.port), 10) as connection:
            connection.sendall(b"word")
            assert connection.recv(4) == b"word"
            sshd.hang()
            assert connection.recv(4) == b""  # within the ten seconds of the socket
            assert not forward.is_connected
        sshd.resume()
        wait_until(lambda: forward.is_connected, "the connection stands again")
        assert _send_and_receive(forward.port, b"word") == b"word"


def test_much_goes_through_whole_on_many_channels_at_once(sshd: SshServer, echo_port: int) -> None:
    with PortForward(_make_account(sshd), ("127.0.0.1", echo_port)) as forward, ThreadPoolExecutor(20) as pool:
        payloads = [os.urandom(LOAD_BYTES // 20) for _ in range(20)]
        for payload, echoed in zip(
            payloads, pool.map(lambda payload: _send_and_receive(forward.port, payload), payloads), strict=True
        ):
            assert hashlib.sha256(echoed).digest() == hashlib.sha256(payload).digest()
        assert len(sshd.list_sessions()) <= 2, "one connection: as root two processes serve it"


def test_a_target_that_refuses_is_told_once_and_hung_up_on(sshd: SshServer, caplog: pytest.LogCaptureFixture) -> None:
    unused_port = free_port()
    with PortForward(_make_account(sshd), ("127.0.0.1", unused_port)) as forward:
        assert [_send_and_receive(forward.port, b"") for _ in range(3)] == [b""] * 3
    assert [record.message for record in caplog.records] == [
        f"The SSH host {sshd.address} cannot reach 127.0.0.1:{unused_port} (Connect failed)"
    ]


def test_nothing_stays_behind(remote_settings: Settings, sshd: SshServer) -> None:
    with open_broker_tunnel(remote_settings) as tunnel_settings, connect(tunnel_settings.broker) as client:
        client.ping()
    wait_until(lambda: not sshd.list_sessions(), "the host serves nobody")
    wait_until(lambda: not [t for t in threading.enumerate() if t.name.startswith("forward")], "no thread is left")


def test_clients_are_hung_up_on_although_a_forked_child_holds_all_open(
    remote_settings: Settings, sshd: SshServer
) -> None:
    with open_broker_tunnel(remote_settings) as tunnel_settings:
        port = int(tunnel_settings.broker.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(64) == b"+PONG\r\n"
            with fork_child():
                sshd.kill_sessions()
                assert connection.recv(1) == b""


def _expect_refusal(settings: Settings) -> None:
    with open_broker_tunnel(settings):
        pytest.fail("it was entered")


def _make_account(sshd: SshServer) -> Account:
    return Account.parse(sshd.address, sshd.key, sshd.known_hosts)


def _is_answering(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except BROKER_UNAVAILABLE:
        return False


def _send_and_receive(port: int, payload: bytes) -> bytes:
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), 60) as connection:

        def send() -> None:
            with suppress(OSError):
                connection.sendall(payload)
                connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        with suppress(ConnectionResetError):
            while data := connection.recv(2**16):
                received += data
        sender.join()
    return bytes(received)
