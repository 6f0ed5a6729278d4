"""`artdream explain`: what a file says, whether it is so, and nothing that nobody knows."""

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.jobs.job import Job
from shared.provenance.containers import write_packet
from shared.provenance.embedding import embed, read_statement
from shared.provenance.key import make_key
from shared.provenance.signing import ManifestSigner
from shared.provenance.statement import SourceType, Statement
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, photo_name, sidecar_name, working_photo_name
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.sidecars import make_sidecar
from tests.stack import run_in_process
from tests.worker.clips.videos import Pictures, make_pictures
from worker.clips.video_encoder import encode_mp4

Explain = Callable[..., "subprocess.CompletedProcess[str]"]

JOB = Job(photo_id="5" * 64, recipe=load_recipe("lines"), seed=7)


@pytest.fixture
def explain(settings: Settings, tmp_path: Path) -> Explain:
    """Run `artdream explain` in the folder `tmp_path`."""

    def explain(*arguments: str, **settings_changes: object) -> "subprocess.CompletedProcess[str]":
        environment = settings.model_copy(update=settings_changes).to_environment()
        completed = run_in_process("explain", *arguments, folder=tmp_path, environment=environment)
        assert "Traceback" not in completed.stderr
        return completed

    return explain


@pytest.fixture
def dream(store: Store) -> bytes:
    """Store a dream as a worker does, and return its file."""
    sidecar = make_sidecar(JOB, program="ArtDream 0.1.0", completed_at=1_790_000_000.0, weights="ab" * 32)
    data = embed(encode_jpeg(make_picture(1, (320, 240))), Statement.of_sidecar(sidecar))
    store.put(dream_name(JOB.id), data)
    store.put(clip_name(JOB.id), embed(encode_mp4(Pictures(make_pictures(4, (96, 64)))), Statement.of_sidecar(sidecar)))
    store.put(sidecar_name(JOB.id), sidecar.model_dump_json().encode())
    return data


def test_a_dream_says_what_it_is_and_the_store_confirms_it(explain: Explain, dream: bytes, tmp_path: Path) -> None:
    (tmp_path / "IMG_1.jpg").write_bytes(dream)
    completed = explain("IMG_1.jpg")
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "IMG_1.jpg says: made from a photo with AI, by ArtDream 0.1.0, on 2026-09-21." in completed.stdout
    for fact in ("Flowing lines (lines, version", "lite, weights abab", JOB.id, "proves nothing"):
        assert fact in completed.stdout
    assert f"unchanged: byte for byte dreams/{JOB.id}/dream.jpg" in completed.stdout


def test_a_clip_is_explained_too(explain: Explain, dream: bytes, store: Store, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(store.get(clip_name(JOB.id)) or b"")
    completed = explain("clip.mp4")
    assert completed.returncode == 0
    assert f"byte for byte dreams/{JOB.id}/clip.mp4" in completed.stdout


def reencode(data: bytes, *, keeps_packet: bool, size: tuple[int, int] | None = None, quality: int = 60) -> bytes:
    """Return a picture as a messenger sends it: smaller."""
    with Image.open(io.BytesIO(data)) as picture:
        buffer = io.BytesIO()
        xmp = picture.info["xmp"] if keeps_packet else b""
        picture.resize(size or picture.size).save(buffer, "JPEG", quality=quality, xmp=xmp)
    return buffer.getvalue()


def test_a_dream_that_was_changed_is_found_out_with_how_far(explain: Explain, dream: bytes, tmp_path: Path) -> None:
    (tmp_path / "sent.jpg").write_bytes(reencode(dream, keeps_packet=True))
    completed = explain("sent.jpg", "--json")
    assert completed.returncode == 4
    [explanation] = json.loads(completed.stdout)
    assert (explanation["kind"], explanation["store"]) == ("dream", "changed")
    assert 0 < explanation["store_difference"]["mean"] < 10
    (tmp_path / "small.jpg").write_bytes(reencode(dream, keeps_packet=True, size=(160, 120)))
    completed = explain("small.jpg")
    assert completed.returncode == 4
    assert "no file of that job is the same or has the same size" in completed.stdout


def test_the_same_pixels_in_another_file_are_known(explain: Explain, dream: bytes, tmp_path: Path) -> None:
    with Image.open(io.BytesIO(dream)) as picture:
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
    statement = read_statement(dream)
    assert statement
    other = statement.model_copy(update={"seed": 8})
    for name, said in (("saved.png", statement), ("other.png", other)):
        (tmp_path / name).write_bytes(embed(buffer.getvalue(), said))
    completed = explain("saved.png")
    assert completed.returncode == 0
    assert f"the pixels of dreams/{JOB.id}/dream.jpg of this installation, in another file" in completed.stdout
    completed = explain("other.png")
    assert (completed.returncode, "of which it says something else" in completed.stdout) == (4, True)


def test_a_statement_on_another_picture_is_found_out(explain: Explain, dream: bytes, tmp_path: Path) -> None:
    statement = read_statement(dream)
    assert statement
    (tmp_path / "forged.jpg").write_bytes(embed(encode_jpeg(make_picture(2, (320, 240))), statement))
    completed = explain("forged.jpg")
    assert completed.returncode == 4
    assert "grey levels away on average" in completed.stdout


def test_elsewhere_nothing_confirms_a_dream(explain: Explain, dream: bytes, tmp_path: Path) -> None:
    (tmp_path / "dream.jpg").write_bytes(dream)
    completed = explain("dream.jpg", "--data", str(tmp_path / "none"))
    assert completed.returncode == 0
    assert "nothing confirms or contradicts this" in completed.stdout


def test_signatures_are_told_apart(explain: Explain, dream: bytes, settings: Settings, tmp_path: Path) -> None:
    key, certificate = make_key(tmp_path / "keys", "Museum of Example")
    statement = read_statement(dream)
    assert statement
    signed = embed(encode_jpeg(make_picture(1)), statement, ManifestSigner(key.read_bytes(), certificate.read_bytes()))
    changed = bytearray(signed)
    changed[-3000] ^= 1
    (tmp_path / "signed.jpg").write_bytes(signed)
    (tmp_path / "changed.jpg").write_bytes(changed)
    no_store = ("--data", str(tmp_path / "none"))
    own = explain("signed.jpg", *no_store, c2pa_certificate=certificate)
    assert (own.returncode, "by this installation's key (ArtDream, Museum of Example)" in own.stdout) == (0, True)
    other = explain("signed.jpg", *no_store)
    assert (other.returncode, "“ArtDream, Museum of Example”, which nothing here confirms" in other.stdout) == (0, True)
    invalid = explain("changed.jpg", *no_store)
    assert (invalid.returncode, "not valid: the file was changed after" in invalid.stdout) == (4, True)


def test_other_pictures_are_one_sentence_each(explain: Explain, tmp_path: Path) -> None:
    photo = encode_jpeg(make_picture(1))
    ai, camera = (
        Statement(source_type=kind, program=program).to_packet()
        for kind, program in ((SourceType.TRAINED, "Painter 9"), ("digitalCapture", "Camera"))
    )
    files = {
        "photo.jpg": photo,
        "ai.jpg": write_packet(photo, ai),
        "camera.jpg": write_packet(photo, camera),
        "cut.jpg": photo[:900],
        "text.jpg": b"no picture",
        "empty.jpg": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    completed = explain(*files, "missing.jpg")
    assert completed.returncode == 3
    assert completed.stdout.splitlines() == [
        "photo.jpg does not say how it was made.",
        "ai.jpg says that it was made with AI by Painter 9, not by ArtDream (trainedAlgorithmicMedia).",
        "camera.jpg says that it was made without AI (digitalCapture).",
        "cut.jpg cannot be read: the picture is damaged.",
        "text.jpg is no JPEG, PNG, WebP, GIF, MP4 or PDF.",
        "empty.jpg is empty.",
        "missing.jpg cannot be read: No such file or directory.",
    ]
    assert explain("cut.jpg").returncode == 1


def test_what_cannot_be_rendered_again_is_one_sentence(
    explain: Explain, dream: bytes, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "dream.jpg").write_bytes(dream)
    (tmp_path / "photo.jpg").write_bytes(encode_jpeg(make_picture(1)))
    (tmp_path / "clip.mp4").write_bytes(store.get(clip_name(JOB.id)) or b"")
    (tmp_path / "thumb.jpg").write_bytes(embed(encode_jpeg(make_picture(1)), Statement.brief()))
    for arguments, sentence in (
        (["dream.jpg", "photo.jpg", "--render", "again.jpg"], "--render renders the dream of one file"),
        (["photo.jpg", "--render", "again.jpg"], "photo.jpg is no picture of a dream"),
        (["clip.mp4", "--render", "again.jpg"], "clip.mp4 is no picture of a dream"),
        (["thumb.jpg", "--render", "again.jpg"], "thumb.jpg names no dream of an installation"),
        (["dream.jpg", "--render", "dream.jpg"], "dream.jpg is the picture that is read"),
        (["dream.jpg", "--render", "again.gif"], "end again.gif with .jpg"),
        (["dream.jpg", "--render", "again.jpg"], "The photo of dream.jpg is no longer in the store"),
    ):
        completed = explain(*arguments)
        assert completed.returncode in (1, 2)
        assert sentence in completed.stderr.replace("\n", " ")
    assert not (tmp_path / "again.jpg").exists()


def test_a_worker_with_a_key_that_cannot_be_used_does_not_start(settings: Settings, tmp_path: Path) -> None:
    environment = settings.to_environment() | {"ARTDREAM_C2PA_KEY": str(tmp_path / "missing")}
    completed = run_in_process("worker", folder=tmp_path, environment=environment)
    assert completed.returncode == 1
    assert "set both or none" in completed.stderr


def test_a_key_is_made_and_named_as_settings_name_it(settings: Settings, tmp_path: Path) -> None:
    completed = run_in_process("c2pa-key", "keys", "--organization", "Museum of Example", folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == [
        f"ARTDREAM_C2PA_KEY={tmp_path}/keys/c2pa.key",
        f"ARTDREAM_C2PA_CERTIFICATE={tmp_path}/keys/c2pa.pem",
    ]
    again = run_in_process("c2pa-key", "keys", "--organization", "Museum of Example", folder=tmp_path)
    assert (again.returncode, "exists, and is kept" in again.stderr) == (1, True)


@pytest.mark.slow
def test_a_dream_rendered_again_from_the_store_has_the_same_pixels(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    from worker.app import make_engine
    from worker.jobs.frames import encode_jpeg as encode_dream
    from worker.jobs.job_photo import decode_photo

    recipe = load_recipe("lines").model_copy(update={"canvas": 256, "size": 512})
    job = Job(photo_id="7" * 64, recipe=recipe, seed=11)
    photo = encode_jpeg(make_picture(3, (640, 480)))
    working = encode_jpeg(make_picture(3, (256, 192)))
    dream = make_engine(settings).dream(
        decode_photo(working, ""), recipe, seed=11, load_full_photo=lambda: decode_photo(photo, "")
    )
    sidecar = make_sidecar(job, weights=dream.weights_sha256, precision=dream.precision)
    data = encode_dream(dream.pixels, statement=Statement.of_sidecar(sidecar))
    objects = {
        photo_name(job.photo_id): photo,
        working_photo_name(job.photo_id): working,
        dream_name(job.id): data,
        sidecar_name(job.id): sidecar.model_dump_json().encode(),
    }
    for name, content in objects.items():
        store.put(name, content)
    (tmp_path / "dream.jpg").write_bytes(data)
    environment = settings.to_environment()
    arguments = ("explain", "dream.jpg", "--render", "again.jpg")
    completed = run_in_process(*arguments, folder=tmp_path, environment=environment)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert "the same pixels" in completed.stdout

    def render_with(**changes: object) -> "subprocess.CompletedProcess[str]":
        store.put(sidecar_name(job.id), sidecar.model_copy(update=changes).model_dump_json().encode())
        arguments = ("explain", "dream.jpg", "--render", "other.png", "--json")
        return run_in_process(*arguments, folder=tmp_path, environment=environment)

    completed = render_with(weights="0" * 64)
    assert (completed.returncode, "has other weights here" in completed.stderr) == (1, True)
    completed = render_with(seed=12)  # another dream, which is found out
    assert completed.returncode == 4
    [explanation] = json.loads(completed.stdout)
    assert explanation["rendered"]["mean"] > 0.5
    assert np.asarray(Image.open(tmp_path / "other.png")).shape == (384, 512, 3)
