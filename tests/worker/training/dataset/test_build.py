"""A data set is determined by its seed, and only the painted pixels distinguish the artists."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from shared.errors import ArtDreamError
from tests.pictures import make_picture
from tests.waiting import wait_until
from tests.worker.training.paintings import ARTIST_STYLES, paint, paint_folders
from worker.training.dataset import PARTS, Dataset
from worker.training.dataset.build import BuildResult, build_dataset
from worker.training.dataset.manifest import Manifest
from worker.training.dataset.sources import SourcePicture, find_pictures

pytestmark = pytest.mark.slow


def build_small_dataset(source: Path, target: Path, seed: int = 0) -> BuildResult:
    return build_dataset(find_pictures(source), target, seed=seed, side=64)


def test_every_artist_has_pictures_in_every_part_and_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    source = paint_folders(tmp_path / "src", 10)
    first, repeated, other_seed = (
        build_small_dataset(source, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.manifest.digest == repeated.manifest.digest != other_seed.manifest.digest
    assert Manifest.load(tmp_path / "a") == first.manifest
    dataset = Dataset.open(tmp_path / "a")
    assert dataset.artists == tuple(sorted(ARTIST_STYLES))
    assert dataset.digest == first.manifest.digest
    assert {part: len(dataset.get_part(part)) for part in PARTS} == {"train": 32, "val": 4, "test": 4}
    for part in PARTS:
        assert {picture.artist for picture in dataset.get_part(part)} == set(range(len(ARTIST_STYLES)))
        assert all(picture.path.exists() for picture in dataset.get_part(part))


def test_one_work_photographed_twice_stays_on_one_side(tmp_path: Path) -> None:
    work_count = 40
    (tmp_path / "src" / "Anna Rot").mkdir(parents=True)
    for number in range(work_count):
        work, stem = make_picture(number, (256, 192)), tmp_path / "src" / "Anna Rot" / str(number)
        work.save(f"{stem}.png")
        work.resize((400, 300)).save(f"{stem}-larger.jpg", quality=60)
        ImageEnhance.Brightness(work.crop((2, 1, 254, 191))).enhance(1.15).save(f"{stem}-brighter.png")
    entries = build_small_dataset(tmp_path / "src", tmp_path / "dst").manifest.entries
    assert len(entries) == 3 * work_count
    assert {entry.part for entry in entries} == set(PARTS)
    for number in range(work_count):
        assert len({entry.part for entry in entries if Path(entry.path).name.split("-")[0] == str(number)}) == 1


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_no_mode_of_a_file_gives_its_artist_away(mode: str, tmp_path: Path) -> None:
    work = paint("Dora Grau", 1)
    if mode == "I;16":
        picture_in_mode = Image.fromarray(np.asarray(work.convert("L")).astype(np.uint16) * 256)
    else:
        picture_in_mode = work.convert("L").convert(mode)
    name = "odd.jpg" if mode == "CMYK" else "odd.png"
    for artist in ARTIST_STYLES:
        (tmp_path / "src" / artist).mkdir(parents=True)
    picture_in_mode.save(tmp_path / "src" / "Anna Rot" / name)
    work.save(tmp_path / "src" / "Dora Grau" / "plain.png")
    result = build_small_dataset(tmp_path / "src", tmp_path / "dst")
    assert result.rejected == []
    grey_levels = {}
    for entry in result.manifest.entries:
        with Image.open(tmp_path / "dst" / entry.path) as picture:
            assert (picture.mode, picture.format, min(picture.size)) == ("RGB", "JPEG", 64)
            grey_levels[entry.artist] = np.asarray(picture.convert("L"), float)
    assert np.abs(grey_levels["Anna Rot"] - grey_levels["Dora Grau"]).mean() < 6


def test_what_is_no_picture_is_told_and_left_out(tmp_path: Path) -> None:
    source = paint_folders(tmp_path / "src", 4)
    content = (source / "Anna_Rot" / "0.png").read_bytes()
    (source / "Anna_Rot" / "cut.png").write_bytes(content[: len(content) // 2])
    (source / "Anna_Rot" / "text.jpg").write_text("no picture")
    result = build_small_dataset(source, tmp_path / "dst")
    assert {rejected.path.name for rejected in result.rejected} == {"cut.png", "text.jpg"}
    assert all(rejected.reason.startswith("cannot be decoded: ") for rejected in result.rejected)
    assert len(result.manifest.entries) == 16


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    source, target = paint_folders(tmp_path / "src", 60, side=512), tmp_path / "dst"
    command = [sys.executable, "-m", "artdream", "dataset", "organize", str(source), str(target), "--side", "64"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    staging = target / ".converted"
    wait_until(lambda: len(list(staging.glob("*.jpg"))) >= 20 or process.poll() is not None, "20 are converted")
    assert process.poll() is None, "it ended before it could be killed"
    subprocess.run(["kill", "-9", "--", f"-{process.pid}"], check=True)
    assert process.wait() == -signal.SIGKILL
    modified_at = {path.name: path.stat().st_mtime_ns for path in staging.glob("*.jpg")}
    assert 0 < len(modified_at) < 240
    resumed = build_small_dataset(source, target)
    uninterrupted = build_small_dataset(source, tmp_path / "whole")
    assert resumed.manifest == uninterrupted.manifest
    reused = [path for path in target.rglob("*.jpg") if path.stat().st_mtime_ns in modified_at.values()]
    assert len(reused) >= len(modified_at)
    assert not staging.exists()


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
