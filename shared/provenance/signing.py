"""Signed manifests (C2PA): who made a dream, and that it is unchanged since. Needs the extra `c2pa`."""

import io
import json
from datetime import UTC, datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import ArtDreamError
from shared.jpeg_marker import PROGRAM
from shared.provenance.containers import Container, Content, detect_container
from shared.provenance.statement import SOURCE_TYPE_PREFIX, Statement
from shared.settings import ENV_PREFIX, Settings

#: Files that are signed: the dream in full and its videos. Thumbnails and frames would double in size.
SIGNED_CONTAINERS = (Container.JPEG, Container.MP4)

#: How a manifest begins in a file, whatever the file's kind: the description of a JUMBF box of C2PA.
_MANIFEST_BEGINNING = b"jumdc2pa"

#: Codes of the library that do not say that a file was changed.
_UNTRUSTED = "signingCredential.untrusted"

_LIBRARY_MISSING = "C2PA needs a library that is not installed: install `artdream[c2pa]`."


class ManifestSigner:
    """Signs files with the installation's key. May be used by several threads."""

    def __init__(self, key: bytes, certificates: bytes) -> None:
        """key: PEM. certificates: PEM, that of the key first. Raises ArtDreamError if they cannot be used."""
        if find_spec("c2pa") is None:
            raise ArtDreamError(_LIBRARY_MISSING)
        self._key, self._certificates = key, certificates
        self._algorithm = _choose_algorithm(key, certificates)

    def check_dates(self) -> datetime:
        """Return when the first of the certificates expires.

        Raises ArtDreamError if one has expired or is not valid yet: the library would not sign.
        """
        from cryptography import x509

        certificates, now = x509.load_pem_x509_certificates(self._certificates), datetime.now(UTC)
        for certificate in certificates:
            name, start, end = (
                certificate.subject.rfc4514_string(),
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
            )
            if now > end:
                raise ArtDreamError(
                    f"The certificate of {name} for C2PA expired on {end:%Y-%m-%d}, so dreams are not signed: "
                    "get a new one from its authority, or make key and certificate with `artdream c2pa-key`."
                )
            if now < start:
                raise ArtDreamError(
                    f"The certificate of {name} for C2PA is valid from {start:%Y-%m-%d %H:%M} UTC on, and dreams are "
                    "not signed before: is the clock of this machine correct?"
                )
        return min(certificate.not_valid_after_utc for certificate in certificates)

    def check(self) -> None:
        """Raise ArtDreamError if the library does not sign with this key. Loads it: not in a process that forks."""
        from PIL import Image

        picture = io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "JPEG")
        self.sign(picture.getvalue(), Statement.brief())

    def sign(self, data: bytes, statement: Statement) -> bytes:
        """Return a JPEG or MP4 with a signed manifest. Raises ArtDreamError if the library refuses that."""
        container = detect_container(data)
        if container not in SIGNED_CONTAINERS:
            raise ValueError("A file of this kind is not signed.")
        signed, library = io.BytesIO(), _import_library()
        try:
            with (
                library.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}}) as context,
                library.Builder(_describe(statement), context) as builder,
                library.Signer.from_info(self._make_info(library)) as signer,
            ):
                builder.sign(signer, container.value, io.BytesIO(data), signed)
        except library.C2paError as error:
            raise ArtDreamError(f"C2PA’s library does not sign with this key and certificate: {error}.") from error
        return signed.getvalue()

    def _make_info(self, library: Any) -> Any:
        return library.C2paSignerInfo(
            alg=getattr(library.C2paSigningAlg, self._algorithm),
            sign_cert=self._certificates,
            private_key=self._key,
            ta_url=None,  # no time stamp: a venue may have no network
        )


def load_signer(settings: Settings) -> ManifestSigner | None:
    """Return the signer of an installation; None if it has no key. Raises ArtDreamError if one cannot be used."""
    if settings.c2pa_key is None and settings.c2pa_certificate is None:
        return None
    if settings.c2pa_key is None or settings.c2pa_certificate is None:
        raise ArtDreamError(f"C2PA needs both {ENV_PREFIX}C2PA_KEY and {ENV_PREFIX}C2PA_CERTIFICATE: set both or none.")
    return ManifestSigner(read_pem(settings.c2pa_key), read_pem(settings.c2pa_certificate))


class SignatureState(StrEnum):
    """What a look at a file's manifest found."""

    #: There is a manifest, and no library to verify it.
    UNVERIFIED = "unverified"
    #: The file is what was signed; nothing says whether the signer is who the certificate says.
    VALID = "valid"
    #: The same, and the certificate is the installation's.
    OWN = "own"
    #: The file was changed after it was signed, or its manifest is damaged.
    INVALID = "invalid"


class Signature(BaseModel):
    """A file's signed manifest."""

    model_config = ConfigDict(frozen=True)

    state: SignatureState = Field(description="unverified, valid, own (by this installation's key) or invalid.")
    signer: str = Field("", description="Name and organization in the certificate.")
    program: str = Field("", description="Program that made the manifest.")
    reasons: tuple[str, ...] = Field((), description="Codes of C2PA that say why it is invalid.")


def read_signature(data: Content, certificates: bytes | None = None) -> Signature | None:
    """Verify the signed manifest of a file; None if it has none.

    certificates: PEM of the installation, by which its own signatures are known.
    """
    container = detect_container(data)
    if container is None or data.find(_MANIFEST_BEGINNING) < 0:
        return None
    try:
        library = _import_library()
    except ArtDreamError:
        return Signature(state=SignatureState.UNVERIFIED)
    options: dict[str, Any] = {"verify": {"remote_manifest_fetch": False}}
    if certificates:
        options["trust"] = {"trust_anchors": certificates.decode()}
    try:
        with (
            library.Context.from_dict(options) as context,
            library.Reader(container.value, io.BytesIO(data[:]), context=context) as reader,
        ):
            report = json.loads(reader.json())
    except library.C2paError as error:
        return Signature(state=SignatureState.INVALID, reasons=(str(error),))
    manifest = report.get("manifests", {}).get(report.get("active_manifest"), {})
    info, generators = manifest.get("signature_info", {}), manifest.get("claim_generator_info") or [{}]
    codes = (status.get("code", "") for status in report.get("validation_status", ()))
    states = {"Trusted": SignatureState.OWN, "Valid": SignatureState.VALID}
    return Signature(
        state=states.get(report.get("validation_state", ""), SignatureState.INVALID),
        signer=", ".join(filter(None, (info.get("common_name"), info.get("issuer")))),
        program=" ".join(filter(None, (generators[0].get("name"), generators[0].get("version")))),
        reasons=tuple(dict.fromkeys(code for code in codes if code != _UNTRUSTED)),
    )


def _describe(statement: Statement) -> dict[str, Any]:
    """Return the manifest: the photo was opened, and changed by a trained network."""
    version = statement.program.removeprefix(PROGRAM).strip()
    generator = {"name": PROGRAM, "version": version}
    actions = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": ["photo"]}},
        {
            "action": "c2pa.edited",
            "digitalSourceType": SOURCE_TYPE_PREFIX + statement.source_type,
            "softwareAgent": generator,
        },
    ]
    own = statement.model_dump(
        include={"job_id", "recipe", "recipe_version", "seed", "network", "weights"}, exclude_none=True
    )
    return {
        "claim_generator_info": [generator],
        "title": statement.title,
        # The photo without a picture and without a hash of its own: the job id, a hash of it with recipe and seed,
        # lets those verify it who have the photo, and nobody else recognize it.
        "ingredients": [{"relationship": "parentOf", "label": "photo", "format": "image/jpeg"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": "org.artdream.dream", "data": own},
        ],
    }


def _choose_algorithm(key: bytes, certificates: bytes) -> str:
    """Return the name of the algorithm that signs with a key. Raises ArtDreamError if they do not fit."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private_key = load_pem_private_key(key, password=None)
        certificate = x509.load_pem_x509_certificates(certificates)[0]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ArtDreamError(
            f"The key or the certificate for C2PA cannot be read ({error}): both are PEM, the key without a passphrase."
        ) from error
    if private_key.public_key() != certificate.public_key():
        raise ArtDreamError(
            f"The key for C2PA is not that of the first certificate: {ENV_PREFIX}C2PA_CERTIFICATE begins with the "
            "certificate of the key."
        )
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        algorithm = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}.get(private_key.curve.name)
    elif isinstance(private_key, ed25519.Ed25519PrivateKey):
        algorithm = "ED25519"
    else:
        algorithm = "PS256" if isinstance(private_key, rsa.RSAPrivateKey) else None
    if algorithm is None:
        raise ArtDreamError("C2PA takes keys of P-256, P-384, P-521, Ed25519 or RSA: use one of these.")
    return algorithm


def _import_library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise ArtDreamError(_LIBRARY_MISSING) from error
    return c2pa


def read_pem(path: Path) -> bytes:
    """Return the key or certificates in a file. Raises ArtDreamError if it cannot be read."""
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise ArtDreamError(
            f"{path}, which C2PA needs, cannot be read ({error.strerror}): are {ENV_PREFIX}C2PA_KEY and "
            f"{ENV_PREFIX}C2PA_CERTIFICATE correct?"
        ) from error
