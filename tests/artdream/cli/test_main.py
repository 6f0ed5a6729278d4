"""The command line: a stranger finds the way, and a fault is one sentence."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.recipe.recipe import list_recipe_names, load_recipe
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.recipes import write_recipe
from tests.stack import run_artdream, run_in_process

COMMANDS = (
    *("up", "watch", "send", "worker", "display", "dream", "recipes", "look", "networks", "status", "doctor"),
    *("dataset", "train", "evaluate", "embed", "compare"),
)


def test_help_names_every_command_and_each_explains_itself(tmp_path: Path) -> None:
    shown = run_artdream("--help", folder=tmp_path)
    for command in COMMANDS:
        assert f" {command} " in shown.stdout
    for command in ("up", "dream"):
        helped = run_artdream(command, "--help", folder=tmp_path)
        assert helped.returncode == 0
        assert "--recipe" in helped.stdout


def test_recipes_are_listed(tmp_path: Path) -> None:
    listed = run_in_process("recipes", folder=tmp_path)
    for name in list_recipe_names():
        assert name in listed.stdout


def test_recipes_are_shown_side_by_side(tmp_path: Path) -> None:
    """That each of them dreams, and otherwise than the others, is told in tests/worker/dreaming/test_engine.py."""
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    chosen = ("--recipe", "lines,animals,classic,night,gatys", "--canvas", "256")
    ran = run_in_process("recipes", "sheet", "in.jpg", "sheet.jpg", *chosen, folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "5 recipes" in ran.stdout
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 5 * 360
        assert sheet.height > 270


def test_a_maker_looks_at_a_channel_or_a_class(tmp_path: Path) -> None:
    for what in (("--layer", "block10", "--channel", "102"), ("--class", "peacock")):
        ran = run_in_process("look", "out.jpg", *what, "--canvas", "256", "--steps", "4", folder=tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert "out.jpg: 256×256, network lite, seed 0." in ran.stdout
        (tmp_path / "out.jpg").unlink()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("out.jpg",), "Say what to look at"),
        (("out.jpg", "--layer", "blok10"), "no layer “blok10”. Did you mean block10"),
        (("out.jpg", "--class", "peacok"), "Did you mean peacock"),
        (("out.jpg", "--class", "peacock", "--canvas", "300"), "no canvas of 300 px"),
        (("out.jpg", "--layer", "mixed3", "--network", "inception_v3"), "artdream networks fetch inception_v3"),
    ],
)
def test_a_look_at_what_is_not_there_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    ended = run_in_process("look", *arguments, folder=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_recipe_of_ones_own_dreams_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    write_recipe(tmp_path, "mine")
    ran = run_in_process("dream", "in.jpg", "out.jpg", "--recipe", "./mine.toml", "--canvas", "256", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "out.jpg: 256×192, recipe “mine”" in ran.stdout


def test_a_recipe_whose_weights_are_not_here_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    ended = run_in_process("dream", "in.jpg", "out.jpg", "--recipe", "classic", folder=tmp_path)
    assert ended.returncode == 1
    assert "artdream networks fetch inception_v3" in ended.stderr
    assert "“animals” stands in for “classic”" in ended.stderr


def test_a_photo_is_dreamt_with_no_broker_at_all(tmp_path: Path) -> None:
    (tmp_path / "in.heic").write_bytes(encode_heic(make_picture(1)))
    ran = run_artdream("dream", "in.heic", "out.jpg", "--recipe", "lines", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "out.jpg: 640×480, recipe “lines”, seed 0." in ran.stdout
    with Image.open(tmp_path / "out.jpg") as dream:
        change = np.abs(np.asarray(dream, np.float32) - np.asarray(make_picture(1), np.float32))
        assert dream.size == (640, 480)
        assert change.mean() > 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.heic", "out.jpg"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dream", "missing.heic", "out.jpg"], "missing.heic cannot be read: No such file or directory."),
        (["dream", "text.heic", "out.jpg"], "text.heic is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)."),
        (["dream", "in.jpg", "out.png"], "The dream is a JPEG: end out.png with .jpg."),
        (["dream", "in.jpg", "nowhere/out.jpg"], "The folder of nowhere/out.jpg does not exist: create it first."),
        (["dream", "in.jpg", "out.jpg", "--recipe", "anmals"], "There is no recipe “anmals”. Did you mean animals,"),
        (["status"], "No ArtDream runs on the folder artdream-data: start one with `artdream up`,"),
        (["send", "in.jpg"], "No ArtDream runs on the folder artdream-data"),
        (["watch"], "The inbox inbox is not a folder"),
        (["up", "--port", "70000"], "Setting ARTDREAM_PORT: Input should be less than or equal to 65535"),
    ],
)
def test_a_fault_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    buffer = io.BytesIO()
    make_picture(2, (64, 48)).save(buffer, "JPEG")
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue())
    (tmp_path / "text.heic").write_text("Dear diary")
    ended = run_in_process(*arguments, folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"artdream: {sentence}")
    assert ended.stderr.count("\n") == 1


def test_a_broker_that_does_not_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_BROKER_URL", "redis://:hidden@127.0.0.1:1/0")
    ended = run_artdream("status", folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "The broker does not answer" in ended.stderr
    assert "hidden" not in ended.stderr


def test_a_brokers_address_that_is_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in (["status"], ["worker"], ["send", "in.jpg"]):
        monkeypatch.setenv("ARTDREAM_BROKER_URL", "hidden@localhost:6379")
        ended = run_artdream(*command, folder=tmp_path)
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert "begins with redis://" in ended.stderr
        assert "hidden" not in ended.stderr


def test_doctor_says_what_is_missing_and_goes_on(tmp_path: Path) -> None:
    examined = run_artdream("doctor", folder=tmp_path)
    assert examined.returncode == 1
    lines = dict.fromkeys(line.split()[1] for line in examined.stdout.splitlines())
    assert list(lines) == ["python", "inbox", "heic", "broker", "store", "worker", "network", "phones", "disk"]
    assert "✗ inbox" in examined.stdout
    assert "✓ heic" in examined.stdout


def test_a_photo_dreams_as_a_painter_named_as_one_likes(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    ran = run_in_process("dream", "in.jpg", "out.jpg", "--artist", "paul klee", "--canvas", "256", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    before, after = (float(part.strip(" %\n")) for part in ran.stdout.rpartition("Paul Klee:")[2].split("→"))
    assert after > before
    unknown = run_in_process("dream", "in.jpg", "out.jpg", "--artist", "Paul Clay", folder=tmp_path)
    assert unknown.returncode == 1
    assert "has no class “Paul Clay”. Did you mean Paul Klee" in unknown.stderr


def test_painters_are_listed_and_written_as_files_to_change(tmp_path: Path) -> None:
    assert "more-paul-klee " in run_in_process("recipes", "painters", folder=tmp_path).stdout
    ran = run_in_process("recipes", "painters", "artist/masters", "--out", "mine", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert load_recipe(str(tmp_path / "mine" / "more-paul-klee.toml")) == load_recipe("more-paul-klee")
    assert len(list((tmp_path / "mine").iterdir())) == 100


def test_two_networks_are_compared_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    ran = run_in_process("compare", "in.jpg", "sheet.jpg", "--layer", "block8", "--canvas", "256", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "artist/masters and lite" in ran.stdout
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 360
