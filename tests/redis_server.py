"""A real Redis behind TLS that accepts one user, with a certificate generated for it."""

import datetime
import ipaddress
import secrets
import shutil
from pathlib import Path

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import BrokerServer
from tests.skip import skip_or_fail

REDIS_PATH = shutil.which("redis-server")

#: Nobody logs in as this user, but Redis replays its append-only file as this user and drops every transaction that
#: the user may not run (redis #14541, valkey #3983): nearly everything that ArtDream writes.
DEFAULT_USER_RULE = "user default off ~* &* +@all"


def require_redis() -> None:
    """Skip the test if there is no Redis with TLS; in CI, fail it."""
    if REDIS_PATH is None:
        skip_or_fail("needs a Redis that speaks TLS: apt install redis-server")


class CertificateAuthority:
    """A self-signed certificate authority."""

    def __init__(self, folder: Path, name: str, *, has_key_identifier: bool = True) -> None:
        """has_key_identifier: whether its certificate has one, without which Python 3.13 does not accept it."""
        self.certificate_path = folder / f"{name}.crt"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        ca_usage = usage | {"digital_signature": True, "key_cert_sign": True, "crl_sign": True}
        builder = (
            self._build_certificate(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**ca_usage, encipher_only=False, decipher_only=False), critical=True)
        )
        if has_key_identifier:
            identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        self.certificate_path.write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def issue_certificate(self, host: str, valid_days: int = 2) -> tuple[Path, Path]:
        """Issue a certificate for a host name or IP address; return the paths of the certificate and of its key.

        valid_days: days from now until it expires; below 0: it has expired.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            name = x509.DNSName(host)
        builder = self._build_certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, valid_days)
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False)
        certificate_path, key_path = self._folder / f"{host}.crt", self._folder / f"{host}.key"
        certificate_path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        encryption = serialization.NoEncryption()
        key_path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption),
        )
        return certificate_path, key_path

    def _build_certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, valid_days: int = 2
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(subject_name=subject, issuer_name=self._name, public_key=key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=10))
            .not_valid_after(now + datetime.timedelta(days=valid_days))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


class RedisServer(BrokerServer):
    """A Redis that accepts TLS only, with a certificate for `localhost`, one user and an administrator."""

    user = "artdream"

    def __init__(self, folder: Path, password: str = "") -> None:
        assert REDIS_PATH
        super().__init__(REDIS_PATH, folder)
        self.password = password or secrets.token_urlsafe(18)
        self._rules = "-@all"
        self.authority = CertificateAuthority(folder, "authority")
        self._certificate_paths = self.authority.issue_certificate("localhost")
        self._admin_password = secrets.token_urlsafe(18)

    def url(self, *, user: str = user, password: str | None = None, host: str = "localhost") -> str:
        """Return the broker's URL."""
        return f"rediss://{user}:{self.password if password is None else password}@{host}:{self.port}/0"

    def list_options(self) -> list[str]:
        certificate, key = self._certificate_paths
        return [
            "bind 127.0.0.1",
            "port 0",
            f"tls-port {self.port}",
            f"tls-cert-file {certificate}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {self.authority.certificate_path}",
            "tls-auth-clients no",
            f"dir {self._folder}",
            'save ""',
            "appendonly yes",
            "maxmemory-policy noeviction",
            DEFAULT_USER_RULE,
            f"user admin on >{self._admin_password} ~* &* +@all",
            f"user {self.user} on >{self.password} {self._rules}",
        ]

    def admin_url(self, database: int) -> str:
        """Return the broker's URL for the administrator."""
        return f"rediss://admin:{self._admin_password}@localhost:{self.port}/{database}"

    def connect_admin(self, database: int = 0) -> redis.Redis:
        return redis.Redis(
            port=self.port,
            db=database,
            username="admin",
            password=self._admin_password,
            ssl=True,
            ssl_ca_certs=str(self.authority.certificate_path),
            decode_responses=True,
        )

    def set_permissions(self, rules: str) -> None:
        """Give the user exactly these permissions (ACL rules)."""
        self._rules = rules
        with self.connect_admin() as admin:
            admin.execute_command("ACL", "SETUSER", self.user, "reset", "on", f">{self.password}", *rules.split())
