"""Measure what statements and signatures cost: bytes in each kind of file, and milliseconds to write and to verify."""

import io
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from artdream.sample import read_sample
from benchmarks.report import publish
from benchmarks.timing import measure_best
from shared.jobs.job import Job
from shared.provenance.embedding import embed, read_statement
from shared.provenance.key import make_key
from shared.provenance.signing import ManifestSigner, read_signature
from shared.provenance.statement import Statement
from shared.recipe.recipe import load_recipe
from tests.sidecars import make_sidecar
from worker.clips.animations import Morph
from worker.clips.clip_formats import encode_gif
from worker.clips.video_encoder import encode_mp4, encode_webp
from worker.jobs.frames import FRAME_QUALITY, THUMBNAIL_SIDE, encode_jpeg

#: Rounds in which each call is timed; the shortest counts.
ROUNDS = 20

#: Columns of the table; the last four are milliseconds.
COLUMNS = ("file", "kB", "statement, bytes", "signature, bytes", "write", "read", "sign", "verify")

#: Files that are signed.
SIGNED = ("dream.jpg", "clip.mp4")


def make_files() -> dict[str, bytes]:
    """Return the files of a dream: of the sample photo, which has about as much detail."""
    picture = pillow_heif.open_heif(io.BytesIO(read_sample())).to_pillow().convert("RGB")

    def scale(side: int) -> Image.Image:
        scaled: Image.Image = picture.resize((side, side * picture.height // picture.width), Image.Resampling.LANCZOS)
        return scaled

    animation = Morph([np.asarray(scale(640)), np.asarray(scale(640).transpose(Image.Transpose.FLIP_LEFT_RIGHT))])
    png = io.BytesIO()
    scale(1536).save(png, "PNG")
    return {
        "dream.jpg, 1536 px": encode_jpeg(np.asarray(scale(1536))),
        "dream.png, 1536 px": png.getvalue(),
        "frame, 640 px": encode_jpeg(np.asarray(scale(640)), FRAME_QUALITY),
        "thumb.jpg": encode_jpeg(np.asarray(scale(THUMBNAIL_SIDE)), FRAME_QUALITY),
        "clip.mp4": encode_mp4(animation),
        "clip.webp": encode_webp(animation),
        "clip.gif": encode_gif(animation),
    }


def main() -> None:
    """Measure each file, and publish."""
    job = Job(photo_id="5" * 64, recipe=load_recipe("more-paul-klee"))
    statement = Statement.of_sidecar(make_sidecar(job, weights="a" * 64))
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = (path.read_bytes() for path in make_key(Path(folder), "Museum of Example"))
    signer = ManifestSigner(key, certificate)
    rows, facts = [], {}
    for name, data in make_files().items():
        said = statement if name.startswith(("dream", "clip")) else Statement.brief()
        stated = embed(data, said)
        calls: dict[str, Callable[[], object]] = {
            "write": partial(embed, data, said),
            "read": partial(read_statement, stated),
        }
        signature_bytes = ""
        if name.startswith(SIGNED):
            signed = signer.sign(stated, said)
            signature_bytes = f"{len(signed) - len(stated)}"
            calls |= {"sign": partial(signer.sign, stated, said), "verify": partial(read_signature, signed)}
        milliseconds = {call: 1000 * seconds for call, seconds in measure_best(calls, ROUNDS).items()}
        facts[name] = milliseconds | {"bytes": len(data), "statement": len(stated) - len(data)}
        times = (f"{milliseconds[call]:.2f}" if call in milliseconds else "" for call in COLUMNS[4:])
        rows.append((name, f"{len(data) / 1000:.0f}", f"{len(stated) - len(data)}", signature_bytes, *times))
    publish("provenance", COLUMNS, rows, {"files": facts})


if __name__ == "__main__":
    main()
