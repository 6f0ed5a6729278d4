"""A broker behind TLS and a password lets in whom it should, and whoever stays out is told what to do."""

import asyncio
import os
import re
import subprocess
import sys
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
    turns, plain = [], redis.connection.AbstractConnection.send_packed_command

    def counted(connection: redis.connection.AbstractConnection, *words: object, **how: object) -> None:
        turns.append(words)
        plain(connection, *words, **how)

    with connect(settings.broker) as client:
        client.ping()  # connects
        monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", counted)
        assert find_missing_rules(client) == []
    assert len(turns) == 2


def test_every_client_that_is_used_gets_in(settings: Settings) -> None:
    """Fails for each where `protected` leaves the address as it is."""

    async def asked() -> bool:
        async with connect_async(settings.broker) as client:
            return bool(await client.ping())

    with connect(settings.broker) as client:
        assert client.ping()
    assert asyncio.run(asked())
    with Connection(settings.broker) as kombu:
        assert kombu.channel().client.ping()
    require_broker_access(settings)


def change_address(settings: Settings, **parts: str) -> Settings:
    """Return settings with another part in the broker's address."""
    address = settings.configured_broker_url
    for old, new in parts.items():
        found = {"host": "localhost", "password": urlsplit(address).password or ""}[old]
        address = address.replace(found, new)
    return settings.model_copy(update={"broker_url": SecretStr(address)})


def test_kombu_refuses_the_certificate_of_another_host_too(settings: Settings) -> None:
    """kombu alone checks nothing; fails without `ssl_check_hostname`."""
    with (
        pytest.raises(redis.ConnectionError, match="not valid for"),
        Connection(change_address(settings, host="127.0.0.1").broker) as c,
    ):
        c.channel()


def spoil_settings(settings: Settings, server: RedisServer, folder: Path, fault: str) -> Settings:
    """Return settings that the broker does not fit."""
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
    "password": r"The broker does not let this user in \(.*\): are user and password in ARTDREAM_BROKER_URL right\?",
    "command": r"The broker forbids its user what ArtDream needs: give it \+xadd \+script\|load, and SECURITY",
    "key": r"The broker forbids its user what ArtDream needs: give it ~batch\*, and SECURITY",
}


@pytest.mark.parametrize("how", EXPECTED_ERRORS)
def test_whoever_is_not_let_in_is_told_what_to_do(
    settings: Settings, tls_redis: RedisServer, tmp_path: Path, how: str
) -> None:
    """Each fails where its case in `refusal`, or `missing`, is left out."""
    with pytest.raises(ArtDreamError, match=f"^{EXPECTED_ERRORS[how]}"):
        require_broker_access(spoil_settings(settings, tls_redis, tmp_path, how))


@pytest.mark.parametrize(
    ("how", "command"), [("host", "worker"), ("password", "watch"), ("command", "display"), ("password", "status")]
)
def test_a_part_that_is_not_let_in_ends_with_that_sentence_alone(
    settings: Settings, tls_redis: RedisServer, tmp_path: Path, how: str, command: str
) -> None:
    """Fails with `reached` in place of `admitted`, and without `refusal` in `main`."""
    spoilt = spoil_settings(settings, tls_redis, tmp_path, how)
    ended = subprocess.run(
        [sys.executable, "-m", "artdream", command],
        env={**os.environ, **spoilt.to_environment()},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert re.match(f"artdream: {EXPECTED_ERRORS[how]}", ended.stderr)
    assert ended.stderr.count("\n") == 1


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
    without = (
        f"-{rule[1:]}"
        if rule[0] == "+"
        else " ".join(["resetkeys", *(f"~{k}" for k in KEY_PATTERNS if f"~{k}" != rule)])
    )
    tls_redis.set_permissions(f"{build_acl_rules()} {without}")
    with connect(settings.broker) as client, tls_redis.connect_admin() as admin:
        assert find_missing_rules(client) == [rule]
        assert admin.dbsize() == 0


def test_what_was_written_outlives_a_restart_of_redis(tmp_path: Path) -> None:
    """Fails with `user default off` alone, which guides recommend: see `DEFAULT_USER`."""
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


def test_security_md_has_the_rules_of_the_code() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text().split())
    assert f" {DEFAULT_USER_RULE} " in text
    assert f"user artdream on >YOUR-PASSWORD {build_acl_rules()} Every part" in text
