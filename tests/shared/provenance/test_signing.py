"""A signed dream: whoever changes it breaks the signature, and the installation knows its own."""

import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from shared.errors import ArtDreamError
from shared.provenance.embedding import embed, read_statement
from shared.provenance.key import make_key
from shared.provenance.signing import ManifestSigner, SignatureState, load_signer, read_signature
from shared.provenance.statement import Statement
from shared.settings import Settings
from tests.pictures import encode_jpeg, make_picture
from tests.worker.clips.videos import Pictures, decode_video, make_pictures
from worker.clips.video_encoder import encode_mp4

STATEMENT = Statement(program="ArtDream 1.0", title="Paul Klee", job_id="ab" * 16, recipe="lines", seed=3)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_key(tmp_path_factory.mktemp("keys"), "Museum of Example")


@pytest.fixture(scope="module")
def signer(key: tuple[Path, Path]) -> ManifestSigner:
    return ManifestSigner(key[0].read_bytes(), key[1].read_bytes())


def test_a_signed_dream_is_known_as_the_installation_s_own(signer: ManifestSigner, key: tuple[Path, Path]) -> None:
    dream = embed(encode_jpeg(make_picture(1)), STATEMENT, signer)
    assert read_statement(dream) == STATEMENT
    signature = read_signature(dream, key[1].read_bytes())
    assert signature
    assert (signature.state, signature.reasons) == (SignatureState.OWN, ())
    assert signature.signer == "ArtDream, Museum of Example"
    assert signature.program == "ArtDream 1.0"


def test_elsewhere_the_signature_is_valid_and_nobody_vouches_for_the_name(
    signer: ManifestSigner, tmp_path: Path
) -> None:
    dream = embed(encode_jpeg(make_picture(1)), STATEMENT, signer)
    _, other_certificate = make_key(tmp_path, "Museum of Example")  # anybody can take that name
    for certificates in (None, other_certificate.read_bytes()):
        signature = read_signature(dream, certificates)
        assert signature
        assert signature.state is SignatureState.VALID


@pytest.mark.parametrize("part", ["pixels", "statement"])
def test_a_dream_that_was_changed_after_it_was_signed_is_known(
    signer: ManifestSigner, key: tuple[Path, Path], part: str
) -> None:
    dream = bytearray(embed(encode_jpeg(make_picture(1)), STATEMENT, signer))
    dream[-2000 if part == "pixels" else dream.index(b">Paul Klee<") + 1] ^= 1
    signature = read_signature(bytes(dream), key[1].read_bytes())
    assert signature
    assert (signature.state, signature.reasons) == (SignatureState.INVALID, ("assertion.dataHash.mismatch",))


def test_a_signed_clip_plays_and_keeps_its_statement(signer: ManifestSigner, key: tuple[Path, Path]) -> None:
    plain = encode_mp4(Pictures(make_pictures(6, (96, 64))))
    clip = embed(plain, STATEMENT, signer)
    assert read_statement(clip) == STATEMENT
    signature = read_signature(clip, key[1].read_bytes())
    assert signature
    assert signature.state is SignatureState.OWN
    assert [frame.tobytes() for frame in decode_video(clip)] == [frame.tobytes() for frame in decode_video(plain)]


def test_a_signature_says_nothing_of_the_photo(signer: ManifestSigner) -> None:
    picture = encode_jpeg(make_picture(1))
    manifest = embed(picture, STATEMENT, signer)
    assert b"c2pa.opened" in manifest
    assert b"c2pa.ingredient" in manifest
    assert b"c2pa.thumbnail" not in manifest
    assert len(manifest) - len(picture) < 8000


def test_a_file_without_a_signature_has_none() -> None:
    assert read_signature(embed(encode_jpeg(make_picture(1)), STATEMENT)) is None


def test_without_the_library_a_signature_is_named_and_not_verified(
    signer: ManifestSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream = embed(encode_jpeg(make_picture(1)), STATEMENT, signer)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    signature = read_signature(dream)
    assert signature
    assert signature.state is SignatureState.UNVERIFIED


def test_a_dream_that_cannot_be_signed_is_kept_unsigned(
    signer: ManifestSigner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer, "_certificates", b"no certificate")
    dream = embed(encode_jpeg(make_picture(1)), STATEMENT, signer)
    assert read_statement(dream) == STATEMENT
    assert read_signature(dream) is None
    assert "does not sign with this key" in caplog.text
    with pytest.raises(ArtDreamError, match="does not sign"):
        signer.check()


def test_the_key_is_readable_by_its_owner_only_and_never_replaced(key: tuple[Path, Path]) -> None:
    assert key[0].stat().st_mode & 0o777 == 0o600
    before = key[0].read_bytes()
    with pytest.raises(ArtDreamError, match="exists, and is kept"):
        make_key(key[0].parent, "Museum of Example")
    assert key[0].read_bytes() == before


def test_a_key_that_cannot_be_used_is_one_sentence(key: tuple[Path, Path], settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no key")
    other_key, _ = make_key(tmp_path / "other", "Another")
    curve = tmp_path / "curve"
    curve.write_bytes(
        ec.generate_private_key(ec.SECP256K1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    for key_file, certificate, sentence in (
        (key[0], None, "set both or none"),
        (tmp_path / "missing", key[1], "cannot be read"),
        (tmp_path / "text", key[1], "both are PEM"),
        (other_key, key[1], "is not that of the first certificate"),
        (curve, key[1], "is not that of the first certificate"),
    ):
        options = settings.model_copy(update={"c2pa_key": key_file, "c2pa_certificate": certificate})
        with pytest.raises(ArtDreamError, match=sentence):
            load_signer(options)
    assert load_signer(settings) is None
    signer = load_signer(settings.model_copy(update={"c2pa_key": key[0], "c2pa_certificate": key[1]}))
    assert signer
    signer.check()
