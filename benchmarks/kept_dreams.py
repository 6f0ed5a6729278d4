"""Dreams that are kept from run to run, so that a benchmark that was killed dreams none of them twice."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from shared.recipe.recipe import Recipe
from worker.dreamer import Dreamer, Frame, Pixels

#: Packages of the code that makes a dream.
DREAMING_PACKAGES = ("worker/backend", "worker/dreaming", "worker/networks")

#: zlib's level for the kept pictures: three times as fast as the usual one, and a few percent larger.
PNG_COMPRESSION = 1


@dataclass(frozen=True)
class KeptDream:
    """A dream with what was measured while it was made."""

    #: (height, width, 3) uint8 sRGB.
    pixels: Pixels
    seconds: float
    first_frame_seconds: float


class KeptDreams:
    """Dreams in a folder, by photo, recipe, network and code."""

    def __init__(self, folder: Path, dreamer: Dreamer, code_digest: str) -> None:
        """code_digest: of the code that dreams; dreams of other code are made again."""
        self._folder, self._dreamer, self._code_digest = folder, dreamer, code_digest

    def dream(self, photo: Pixels, recipe: Recipe, network_digest: str) -> KeptDream:
        """Return a photo's dream with seed 0: the kept one, or a new one of a dreamer that is warm.

        network_digest: of the recipe's network. Raises what `Dreamer.dream` raises.
        """
        key = hashlib.sha256(photo.tobytes() + str(photo.shape).encode())
        key.update(" ".join((recipe.digest, network_digest, self._code_digest)).encode())
        picture_file = self._folder / f"{recipe.name}-{key.hexdigest()[:16]}.png"
        facts_file = picture_file.with_suffix(".json")
        if not facts_file.exists():  # it is written last
            self._save(self._make(photo, recipe), picture_file, facts_file)
        with Image.open(picture_file) as picture:
            return KeptDream(np.asarray(picture), **json.loads(facts_file.read_text()))

    def _make(self, photo: Pixels, recipe: Recipe) -> KeptDream:
        self._dreamer.warm_up(recipe)
        first_frame_seconds: list[float] = []

        def on_frame(frame: Frame) -> None:
            if frame.index == 0:
                first_frame_seconds.append(time.perf_counter() - started_at)

        started_at = time.perf_counter()
        pixels = self._dreamer.dream(photo, recipe, seed=0, on_frame=on_frame).pixels
        return KeptDream(pixels, time.perf_counter() - started_at, first_frame_seconds[0])

    def _save(self, dream: KeptDream, picture_file: Path, facts_file: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dream.pixels).save(picture_file, compress_level=PNG_COMPRESSION)
        facts = {name: value for name, value in asdict(dream).items() if name != "pixels"}
        temporary_file = facts_file.with_suffix(".part")
        temporary_file.write_text(json.dumps(facts))
        temporary_file.replace(facts_file)


def digest_code(root: Path) -> str:
    """Return hex digits that change with the code that dreams and with the files that are bundled with it.

    root: folder of the checkout.
    """
    digest = hashlib.sha256()
    for package in DREAMING_PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix == ".py" or path.name == "SHA256SUMS":
                digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
