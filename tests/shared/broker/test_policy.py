"""Unencrypted remote brokers and placeholder secrets are refused, unless explicitly allowed."""

import re
from pathlib import Path

import pytest

from shared.broker.policy import is_placeholder, require_secure_url
from shared.errors import ArtDreamError

ROOT = Path(__file__).parents[3]

#: A password that is used in no example.
OWN_PASSWORD = "hunter-at-dusk"


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:6379/0",
        "redis://127.8.8.8/0",
        "redis://[::1]:6379/0",
        "redis://localhost/0",
        "redis:///0",
        "unix:///run/redis.sock",
        f"redis://:{OWN_PASSWORD}@localhost:6379/3",
    ],
)
def test_a_broker_on_this_machine_needs_no_protection(address: str) -> None:
    assert require_secure_url(address) == address


@pytest.mark.parametrize("host", ["10.0.0.7", "vm.example", "localhost.example", "[2001:db8::1]", "0.0.0.0"])
def test_a_broker_elsewhere_is_not_spoken_to_in_the_clear(host: str) -> None:
    """Fails if `_is_local` returns True."""
    address = f"redis://:{OWN_PASSWORD}@{host}:6379/0"
    with pytest.raises(ArtDreamError, match="in the clear") as raised:
        require_secure_url(address)
    message = str(raised.value)
    assert OWN_PASSWORD not in message
    assert all(remedy in message for remedy in ("rediss://", "ARTDREAM_SSH", "ARTDREAM_INSECURE_BROKER=true"))
    assert require_secure_url(address, allow_insecure=True) == address


def test_a_second_broker_cannot_hide_behind_the_first() -> None:
    """kombu accepts several URLs in one; fails without the check for a semicolon."""
    with pytest.raises(ArtDreamError, match="semicolon"):
        require_secure_url(f"redis://:{OWN_PASSWORD}@127.0.0.1:6379/0;redis://:{OWN_PASSWORD}@10.0.0.7/0")


def test_over_tls_the_certificate_and_its_host_are_checked() -> None:
    """kombu checks nothing by default; fails without the query options."""
    address = require_secure_url(f"rediss://artdream:{OWN_PASSWORD}@vm.example:6380/0")
    assert "ssl_cert_reqs=required" in address
    assert "ssl_check_hostname=true" in address


@pytest.mark.parametrize(
    "option", ["ssl_cert_reqs=none", "ssl_cert_reqs=CERT_NONE", "ssl_cert_reqs=optional", "ssl_check_hostname=False"]
)
def test_a_certificate_that_nobody_checks_is_refused(option: str) -> None:
    """Fails without the loop over the options."""
    with pytest.raises(ArtDreamError, match="anybody may pretend to be the broker") as raised:
        require_secure_url(f"rediss://artdream:{OWN_PASSWORD}@vm.example:6380/0?{option}", allow_insecure=True)
    assert OWN_PASSWORD not in str(raised.value)


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    address, missing, other = (
        f"rediss://artdream:{OWN_PASSWORD}@vm.example/0",
        tmp_path / "missing.crt",
        tmp_path / "other.crt",
    )
    with pytest.raises(ArtDreamError, match=r"missing\.crt cannot be read \(No such file"):
        require_secure_url(address, ca_file=missing)
    other.write_text("Dear diary")
    with pytest.raises(ArtDreamError, match=r"other\.crt holds no certificate"):
        require_secure_url(address, ca_file=other)


def test_a_broker_elsewhere_has_a_password() -> None:
    """Fails without the check for a password."""
    for address in ("rediss://vm.example/0", "rediss://artdream:@vm.example/0"):
        with pytest.raises(ArtDreamError, match="has no password"):
            require_secure_url(address)


@pytest.mark.parametrize(
    "secret",
    [
        *("", "  ", "changeme", "change-me", "CHANGE_ME!", "password", "Password123!", "secret", "mysecretpassword"),
        *("<password>", "<your secret here>", "${REDIS_PASSWORD}", "$PASSWORD", "xxxxxxxxxxxx", "********", "12345678"),
        *("foobared", "artdream", "changemechangemechangeme"),
    ],
)
def test_what_everybody_knows_is_no_secret(secret: str) -> None:
    """Fails if `is_placeholder` returns False."""
    assert is_placeholder(secret)
    if secret.strip() and not set(secret) & set("<>{}$ "):
        with pytest.raises(ArtDreamError, match="is a placeholder that everybody knows"):
            require_secure_url(f"redis://:{secret}@localhost/0")


@pytest.mark.parametrize(
    "secret", [OWN_PASSWORD, "open sesame", "9f1c2b7e5a", "theodora", "$3cr4mbl3d-eggs", "my-aunt-Emily-1931"]
)
def test_what_somebody_chose_is_one(secret: str) -> None:
    assert not is_placeholder(secret)


def test_no_password_of_our_own_papers_works() -> None:
    """A copied example is refused; fails if a document shows a password that is not a placeholder."""
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / ".env.example"]
    passwords = [
        password
        for document in documents
        for password in re.findall(r"rediss?://[^\s@/]*:([^\s@/]+)@", document.read_text())
    ]
    assert passwords
    assert [password for password in passwords if not is_placeholder(password)] == []
