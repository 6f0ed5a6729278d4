"""A broker with TLS and a password accepts the right user, and a refusal comes with a message that says what to do."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection
from pydantic import SecretStr

from shared.broker.acl import COMMAND_RULES, KEY_PATTERNS, build_acl_rules, find_missing_rules
from shared.broker.client import connect, connect_async
from shared.broker.preflight import require_broker_access
from shared.errors import ArtDreamError
from shared.jobs.job import Job, State
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.redis_server import DEFAULT_USER_RULE, CertificateAuthority, RedisServer, require_redis
from tests.waiting import WAIT_TIMEOUT_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tls_redis: RedisServer, tmp_path: Path) -> Settings:
    tls_redis.set_permissions(build_acl_rules())
    return Settings(
        data=tmp_path / "data",
        inbox=tmp_path,
        broker_url=tls_redis.url(),
        broker_ca=tls_redis.authority.certificate_path,
        _env_file=None,
    )


def test_a_broker_far_away_is_asked_twice_for_the_permissions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_commands, send = [], redis.connection.AbstractConnection.send_packed_command

    def record_and_send(connection: redis.connection.AbstractConnection, *arguments: object, **options: object) -> None:
        sent_commands.append(arguments)
        send(connection, *arguments, **options)

    with connect(settings.broker) as client:
        client.ping()  # connects
        monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", record_and_send)
        assert find_missing_rules(client) == []
    assert len(sent_commands) == 2


def test_every_client_that_is_used_gets_in(settings: Settings) -> None:
    """Fails for each client if `require_secure_url` returns the URL unchanged."""

    async def ping_async() -> bool:
        async with connect_async(settings.broker) as client:
            return bool(await client.ping())

    with connect(settings.broker) as client:
        assert client.ping()
    assert asyncio.run(ping_async())
    with Connection(settings.broker) as kombu:
        assert kombu.channel().client.ping()
    require_broker_access(settings)


def change_address(settings: Settings, **parts: str) -> Settings:
    """Return settings with another host or password in the broker's URL."""
    address = settings.configured_broker_url
    for part, new_value in parts.items():
        old_value = {"host": "localhost", "password": urlsplit(address).password or ""}[part]
        address = address.replace(old_value, new_value)
    return settings.model_copy(update={"broker_url": SecretStr(address)})


def test_kombu_refuses_the_certificate_of_another_host_too(settings: Settings) -> None:
    """kombu checks nothing by default; fails without `ssl_check_hostname`."""
    with (
        pytest.raises(redis.ConnectionError, match="not valid for"),
        Connection(change_address(settings, host="127.0.0.1").broker) as c,
    ):
        c.channel()


def spoil_settings(settings: Settings, server: RedisServer, folder: Path, fault: str) -> Settings:
    """Return settings with one fault, so that the broker cannot be used."""
    match fault:
        case "authority":
            return settings.model_copy(update={"broker_ca": CertificateAuthority(folder, "other").certificate_path})
        case "no authority":
            return settings.model_copy(update={"broker_ca": None})
        case "host":
            return change_address(settings, host="127.0.0.1")
        case "password":
            return change_address(settings, password="fisher-at-dawn")
        case "command":
            server.set_permissions(f"{build_acl_rules()} -xadd -script|load")
        case "key":
            server.set_permissions(f"{build_acl_rules()} resetkeys ~artdream:* ~live* ~unacked* ~_kombu.*")
    return settings


EXPECTED_ERRORS = {
    "authority": "The broker's certificate is not trusted (.*): name the file .* in ARTDREAM_BROKER_CA",
    "no authority": "The broker's certificate is not trusted (.*): name the file .* in ARTDREAM_BROKER_CA",
    "host": r"The broker's certificate is another host's \(.*127\.0\.0\.1'\): let ARTDREAM_BROKER_URL name",
    "password": r"The broker does not let this user in \(.*\): are user and password in ARTDREAM_BROKER_URL correct\?",
    "command": r"The broker forbids its user what ArtDream needs: give it \+xadd \+script\|load, and all",
    "key": r"The broker forbids its user what ArtDream needs: give it ~batch\*, and all",
}


@pytest.mark.parametrize("fault", EXPECTED_ERRORS)
def test_whoever_is_not_let_in_is_told_what_to_do(
    settings: Settings, tls_redis: RedisServer, tmp_path: Path, fault: str
) -> None:
    """Each fails without its case in `explain_permanent_error`, or without `find_missing_rules`."""
    with pytest.raises(ArtDreamError, match=f"^{EXPECTED_ERRORS[fault]}"):
        require_broker_access(spoil_settings(settings, tls_redis, tmp_path, fault))


@contextmanager
def listen_with_certificate(certificate_path: Path, key_path: Path) -> Iterator[int]:
    """Offer TLS connections with a certificate; yield the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_path, key_path)

    def shake_hands() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the listener was shut down
                return
            with connection, suppress(OSError):  # the client refuses the certificate
                context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        threads.submit(shake_hands)
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends the thread


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("expired", r"is not valid today \(certificate has expired\): renew it"),
        pytest.param(
            "no key identifier",
            r"or its authority's, is incomplete \(Missing Subject Key Identifier\): have it reissued",
            marks=pytest.mark.skipif(sys.version_info < (3, 13), reason="Python demands it from 3.13 on"),
        ),
    ],
)
def test_a_certificate_of_the_right_authority_that_is_not_accepted_says_why(
    tmp_path: Path, fault: str, message: str
) -> None:
    """Seen failing: it was said not to be trusted, and the file of its authority, which was named, was asked for."""
    authority = CertificateAuthority(tmp_path, "authority", has_key_identifier=fault != "no key identifier")
    certificate = authority.issue_certificate("localhost", valid_days=-1 if fault == "expired" else 2)
    with listen_with_certificate(*certificate) as port:
        url = SecretStr(f"rediss://:own-one-of@localhost:{port}/0")
        settings = Settings(broker_url=url, broker_ca=authority.certificate_path, _env_file=None)
        with pytest.raises(ArtDreamError, match=f"^The broker's certificate,? {message}"):
            require_broker_access(settings)


@pytest.mark.parametrize(
    ("fault", "command"), [("host", "worker"), ("password", "watch"), ("command", "display"), ("password", "status")]
)
def test_a_part_that_is_not_let_in_ends_with_that_sentence_alone(
    settings: Settings, tls_redis: RedisServer, tmp_path: Path, fault: str, command: str
) -> None:
    """Fails without the preflight check of the broker, and without `explain_permanent_error` in `main`."""
    faulty_settings = spoil_settings(settings, tls_redis, tmp_path, fault)
    process = subprocess.run(
        [sys.executable, "-m", "artdream", command],
        env={**os.environ, **faulty_settings.to_environment()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_TIMEOUT_SECONDS,
    )
    assert process.returncode == 1
    assert process.stdout == ""
    assert re.match(f"artdream: {EXPECTED_ERRORS[fault]}", process.stderr)
    assert process.stderr.count("\n") == 1


def test_a_broker_that_is_away_is_waited_for(settings: Settings) -> None:
    require_broker_access(
        change_address(settings, host="localhost").model_copy(
            update={"broker_url": SecretStr("rediss://:own-one-of@localhost:1/0")}
        )
    )


@pytest.mark.parametrize("rule", [*COMMAND_RULES, *(f"~{key}" for key in KEY_PATTERNS)])
def test_each_rule_that_lacks_is_found_and_nothing_is_done_to_find_it(
    settings: Settings, tls_redis: RedisServer, rule: str
) -> None:
    removal = (
        f"-{rule[1:]}"
        if rule[0] == "+"
        else " ".join(["resetkeys", *(f"~{k}" for k in KEY_PATTERNS if f"~{k}" != rule)])
    )
    tls_redis.set_permissions(f"{build_acl_rules()} {removal}")
    with connect(settings.broker) as client, tls_redis.connect_admin() as admin:
        assert find_missing_rules(client) == [rule]
        assert admin.dbsize() == 0


def test_what_was_written_outlives_a_restart_of_redis(tmp_path: Path) -> None:
    """Fails with `user default off` alone, which guides recommend: see `DEFAULT_USER_RULE`."""
    require_redis()
    server = RedisServer(tmp_path / "redis")
    settings = Settings(broker_url=server.url(), broker_ca=server.authority.certificate_path, _env_file=None)
    job = Job(photo_id="0" * 64, recipe=load_recipe("animals"))
    server.start()
    try:
        server.set_permissions(build_acl_rules())
        with connect(settings.broker) as client:
            assert JobTable(client).accept(job).is_new
        server.shut_down()
        server.start()
        with connect(settings.broker) as client:
            assert JobTable(client).get_state(job.id) is State.ACCEPTED
    finally:
        server.stop()


def test_the_docs_have_the_rules_of_the_code() -> None:
    text = " ".join((ROOT / "docs" / "security.md").read_text().split())
    assert f" {DEFAULT_USER_RULE} " in text
    assert f"user artdream on >YOUR-PASSWORD {build_acl_rules()} Every component" in text
