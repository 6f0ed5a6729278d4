"""Make a key and certificates of an installation for C2PA. Needs the extra `c2pa`."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.errors import ArtDreamError

#: Names of the files.
KEY_FILE, CERTIFICATE_FILE = "c2pa.key", "c2pa.pem"

#: Years for which the certificates are valid. There is no time stamp, so signatures are valid as long as they are.
VALID_YEARS = 10


class _Party(NamedTuple):
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def make_key(folder: Path, organization: str) -> tuple[Path, Path]:
    """Write a key and its certificates to a folder; return both files.

    The certificate is issued by an authority whose own key is not kept: C2PA accepts none that is issued by itself.
    Raises ArtDreamError if a file exists or cannot be written.
    """
    authority = _Party(_make_name(organization, "ArtDream authority"), ec.generate_private_key(ec.SECP256R1()))
    installation = _Party(_make_name(organization, "ArtDream"), ec.generate_private_key(ec.SECP256R1()))
    certificates = _issue(installation, authority) + _issue(authority, authority)
    key = installation.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key_file, certificate_file = folder / KEY_FILE, folder / CERTIFICATE_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(key_file, key, 0o600)
        _write(certificate_file, certificates, 0o644)
    except FileExistsError as error:
        raise ArtDreamError(f"{error.filename} exists, and is kept: name another folder.") from error
    except OSError as error:
        raise ArtDreamError(f"{folder} cannot be written: {error.strerror}.") from error
    return key_file, certificate_file


def _make_name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _issue(subject: _Party, issuer: _Party) -> bytes:
    """Return the certificate of a party, PEM, with the fields that C2PA asks for (C2PA 2.2, 14.5.1)."""
    is_authority = subject is issuer
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject.name)
        .issuer_name(issuer.name)
        .public_key(subject.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=365 * VALID_YEARS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    if not is_authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
