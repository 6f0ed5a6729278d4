"""Paintings become a data set that the seed alone decides, in which nothing but the paint tells the artist."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from shared.errors import ArtDreamError
from tests.pictures import make_picture
from tests.worker.training.paintings import ARTIST_STYLES, paint, paint_folders
from worker.training.dataset import PARTS, Dataset
from worker.training.dataset.build import BuildResult, build_dataset
from worker.training.dataset.manifest import Manifest
from worker.training.dataset.sources import SourcePicture, find_pictures


def build_small_dataset(source: Path, target: Path, seed: int = 0) -> BuildResult:
    return build_dataset(find_pictures(source), target, seed=seed, side=64)


def test_every_artist_has_pictures_in_every_part_and_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    source = paint_folders(tmp_path / "src", 10)
    one, again, other = (
        build_small_dataset(source, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.manifest.digest == again.manifest.digest != other.manifest.digest
    assert Manifest.load(tmp_path / "a") == one.manifest
    opened = Dataset.open(tmp_path / "a")
    assert opened.artists == tuple(sorted(ARTIST_STYLES))
    assert opened.digest == one.manifest.digest
    assert {part: len(opened.get_part(part)) for part in PARTS} == {"train": 32, "val": 4, "test": 4}
    for part in PARTS:
        assert {one.artist for one in opened.get_part(part)} == set(range(len(ARTIST_STYLES)))
        assert all(one.path.exists() for one in opened.get_part(part))


def test_one_work_photographed_twice_stays_on_one_side(tmp_path: Path) -> None:
    works = 40
    (tmp_path / "src" / "Anna Rot").mkdir(parents=True)
    for number in range(works):
        work, stem = make_picture(number, (256, 192)), tmp_path / "src" / "Anna Rot" / str(number)
        work.save(f"{stem}.png")
        work.resize((400, 300)).save(f"{stem}-larger.jpg", quality=60)
        ImageEnhance.Brightness(work.crop((2, 1, 254, 191))).enhance(1.15).save(f"{stem}-brighter.png")
    entries = build_small_dataset(tmp_path / "src", tmp_path / "dst").manifest.entries
    assert len(entries) == 3 * works
    assert {one.part for one in entries} == set(PARTS)
    for number in range(works):
        assert len({one.part for one in entries if Path(one.path).name.split("-")[0] == str(number)}) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_no_mode_of_a_file_gives_its_artist_away(mode: str, tmp_path: Path) -> None:
    work = paint("Dora Grau", 1)
    if mode == "I;16":
        odd = Image.fromarray(np.asarray(work.convert("L")).astype(np.uint16) * 256)
    else:
        odd = work.convert("L").convert(mode)
    name = "odd.jpg" if mode == "CMYK" else "odd.png"
    for artist in ARTIST_STYLES:
        (tmp_path / "src" / artist).mkdir(parents=True)
    odd.save(tmp_path / "src" / "Anna Rot" / name)
    work.save(tmp_path / "src" / "Dora Grau" / "plain.png")
    made = build_small_dataset(tmp_path / "src", tmp_path / "dst")
    assert made.rejected == []
    shown = {}
    for entry in made.manifest.entries:
        with Image.open(tmp_path / "dst" / entry.path) as picture:
            assert (picture.mode, picture.format, min(picture.size)) == ("RGB", "JPEG", 64)
            shown[entry.artist] = np.asarray(picture.convert("L"), float)
    assert np.abs(shown["Anna Rot"] - shown["Dora Grau"]).mean() < 6


def test_what_is_no_picture_is_told_and_left_out(tmp_path: Path) -> None:
    source = paint_folders(tmp_path / "src", 4)
    whole = (source / "Anna_Rot" / "0.png").read_bytes()
    (source / "Anna_Rot" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "Anna_Rot" / "text.jpg").write_text("no picture")
    made = build_small_dataset(source, tmp_path / "dst")
    assert {one.path.name for one in made.rejected} == {"cut.png", "text.jpg"}
    assert all(one.reason.startswith("cannot be decoded: ") for one in made.rejected)
    assert len(made.manifest.entries) == 16


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    source, target = paint_folders(tmp_path / "src", 60, side=512), tmp_path / "dst"
    command = [sys.executable, "-m", "artdream", "dataset", "organise", str(source), str(target), "--side", "64"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    bench = target / ".converted"
    while len(list(bench.glob("*.jpg")) if bench.exists() else []) < 20:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=True)
    assert process.wait() == -signal.SIGKILL
    made = {path.name: path.stat().st_mtime_ns for path in bench.glob("*.jpg")}
    assert 0 < len(made) < 240
    again = build_small_dataset(source, target)
    whole = build_small_dataset(source, tmp_path / "whole")
    assert again.manifest == whole.manifest
    kept = [path for path in target.rglob("*.jpg") if path.stat().st_mtime_ns in made.values()]
    assert len(kept) >= len(made)
    assert not bench.exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    source = paint_folders(tmp_path / "src", 4)
    (tmp_path / "dst").mkdir()
    (tmp_path / "dst" / "thesis.txt").write_text("mine")
    with pytest.raises(ArtDreamError, match="holds something else"):
        build_small_dataset(source, tmp_path / "dst")
    build_small_dataset(source, tmp_path / "new")
    with pytest.raises(ArtDreamError, match="is a data set already"):
        build_small_dataset(source, tmp_path / "new")
    with pytest.raises(ArtDreamError, match="None of the 1 files can be decoded"):
        build_dataset([SourcePicture(tmp_path / "dst" / "thesis.txt", "Me")], tmp_path / "none", seed=0)
