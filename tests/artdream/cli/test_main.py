"""The command line: help for every command, and errors in one sentence."""

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import redis
from PIL import Image

from artdream.cli import dream
from artdream.cli.checks import CheckResult
from artdream.cli.main import PANELS
from artdream.cli.recipes import ListedRecipe
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.recipe import list_recipe_names, load_recipe
from shared.settings import Settings
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.recipes import write_recipe
from tests.stack import free_port, run_artdream, run_in_process, start_artdream
from tests.waiting import wait_until


def test_help_names_every_command_in_its_panel_and_each_explains_itself(tmp_path: Path) -> None:
    completed = run_artdream("--help", folder=tmp_path)
    position = 0
    for panel, commands in PANELS.items():
        for text in (f"─ {panel} ─", *(f"│ {command} " for command in commands)):
            position = completed.stdout.index(text, position)
    for command in ("up", "dream"):
        command_help = run_in_process(command, "--help", folder=tmp_path)
        assert command_help.returncode == 0
        assert "--recipe" in command_help.stdout
        assert "$ artdream " in command_help.stdout


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing with a traceback, on a Mac with nothing but producer and display."""
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    for module in ("artdream.cli.evening_pdf", "artdream.cli.pdf_writer"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    completed = run_in_process("contact-sheet", "evening.pdf", folder=tmp_path)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert completed.stderr.startswith("artdream: This needs pypdfium2, which is not installed here:")
    assert len(completed.stderr.splitlines()) == 1


def test_recipes_are_listed(tmp_path: Path) -> None:
    completed = run_in_process("recipes", folder=tmp_path)
    for name in list_recipe_names():
        assert name in completed.stdout


def test_recipes_are_listed_as_json(tmp_path: Path) -> None:
    completed = run_in_process("recipes", "--json", folder=tmp_path)
    assert (completed.returncode, completed.stderr) == (0, "")
    recipes = json.loads(completed.stdout)
    assert [recipe["name"] for recipe in recipes] == list(list_recipe_names())
    for recipe in recipes:
        assert recipe == load_recipe(recipe["name"]).model_dump(include=set(ListedRecipe.model_fields))


@pytest.mark.slow
def test_recipes_are_shown_side_by_side(tmp_path: Path) -> None:
    """tests/worker/dreaming/test_engine.py tests that the recipes give different dreams."""
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    for name in ("one", "two", "three", "four"):
        write_recipe(tmp_path, name)
    options = ("--recipe", "lines,./one.toml,./two.toml", "--recipe", "./three.toml,./four.toml", "--canvas", "256")
    completed = run_in_process("recipes", "sheet", "in.jpg", "sheet.jpg", *options, folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert "5 recipes" in completed.stdout
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 5 * 360
        assert sheet.height > 270


@pytest.mark.slow
def test_a_maker_looks_at_a_channel_or_a_class(tmp_path: Path) -> None:
    for objective_options in (("--layer", "block10", "--channel", "102"), ("--class", "peacock")):
        completed = run_in_process(
            "look", "out.jpg", *objective_options, "--canvas", "256", "--steps", "4", folder=tmp_path
        )
        assert completed.returncode == 0, completed.stderr
        assert "out.jpg: 256×256, network lite, seed 0." in completed.stdout
        (tmp_path / "out.jpg").unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out.jpg", "--layer", "blok10"), "no layer “blok10”. Did you mean block10"),
        (("out.jpg", "--class", "peacok"), "Did you mean peacock"),
        (("out.jpg", "--layer", "mixed3", "--network", "inception_v3"), "artdream networks fetch inception_v3"),
    ],
)
def test_a_look_at_what_is_not_there_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    completed = run_in_process("look", *arguments, folder=tmp_path)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr


def test_a_recipe_of_ones_own_dreams_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    write_recipe(tmp_path, "mine")
    completed = run_in_process(
        "dream", "in.jpg", "out.jpg", "--recipe", "./mine.toml", "--canvas", "256", folder=tmp_path
    )
    assert completed.returncode == 0, completed.stderr
    assert "out.jpg: 256×192, recipe “mine”" in completed.stdout


def test_a_recipe_whose_weights_are_not_here_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    completed = run_in_process("dream", "in.jpg", "out.jpg", "--recipe", "classic", folder=tmp_path)
    assert completed.returncode == 1
    assert "artdream networks fetch inception_v3" in completed.stderr
    assert "“animals” stands in for “classic”" in completed.stderr


@pytest.mark.slow
def test_a_photo_is_dreamt_with_no_broker_at_all(tmp_path: Path) -> None:
    (tmp_path / "in.heic").write_bytes(encode_heic(make_picture(1)))
    completed = run_artdream("dream", "in.heic", "out.jpg", "--recipe", "lines", folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""
    assert "out.jpg: 640×480, recipe “lines”, seed 0." in completed.stdout
    with Image.open(tmp_path / "out.jpg") as picture:
        change = np.abs(np.asarray(picture, np.float32) - np.asarray(make_picture(1), np.float32))
        assert picture.size == (640, 480)
        assert change.mean() > 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.heic", "out.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["look", "out.jpg"], "Choose what to look at: either --layer"),
        (["look", "out.jpg", "--class", "peacock", "--canvas", "300"], "There is no canvas of 300 px"),
        (["dream", "in.jpg", "out.jpg", "--recipe", "lines,night"], "A photo is rendered with one recipe"),
        (["send", "in.jpg", "--out", "dreams"], "--out needs --wait"),
        (["train", "--dataset", "x", "--out", "y", "--epsilon", "1"], "--epsilon and --attack-steps need --robust"),
        (["recipes", "painters", "artist/mine"], "write those of artist/mine with --out"),
        (["train", "--dataset", "x", "--out", "y", "--backbone", "light"], "'light' is not one of"),
        (["evaluate", "lite", "--dataset", "x", "--part", "all"], "'all' is not one of"),
        (["worker", "--lane", "fast"], "'fast' is not one of"),
        (["status", "--jsno"], "No such option: --jsno"),
        (["statsu"], "Did you mean 'status'"),
        (["send"], "Missing argument 'PATH'"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    completed = run_in_process(*arguments, folder=tmp_path, environment={"COLUMNS": "200"})
    assert (completed.returncode, completed.stdout) == (2, "")
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    with start_artdream("send", "-", folder=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"\n" * 2**20)  # more than a pipe takes: it is reading when this returns
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


@pytest.mark.parametrize("command", ["watch", "display"])
def test_ctrl_c_stops_a_component_in_good_order(command: str, settings: Settings, client: redis.Redis) -> None:
    """tests/worker/test_app.py has the worker, tests/stack.py `up`."""
    environment = {
        **{"ARTDREAM_BROKER_URL": settings.broker, "ARTDREAM_DATA": str(settings.data), "ARTDREAM_RECIPE": "lines"},
        **{"ARTDREAM_INBOX": str(settings.inbox), "ARTDREAM_PORT": str(free_port())},
    }
    with start_artdream(command, folder=settings.inbox, environment=environment) as process:
        wait_until(HeartbeatRegistry(client).list_heartbeats, "it runs")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["dream", "missing.heic", "out.jpg"], "missing.heic cannot be read: No such file or directory."),
        (["dream", "text.heic", "out.jpg"], "text.heic is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)."),
        (["dream", "in.jpg", "out.gif"], "The dream is a JPEG, PNG or WebP: end out.gif with .jpg, .png or .webp."),
        (["dream", "in.jpg", "nowhere/out.jpg"], "The folder of nowhere/out.jpg does not exist: create it first."),
        (["dream", "in.jpg", "out.jpg", "--recipe", "anmals"], "There is no recipe “anmals”. Did you mean animals,"),
        (["status"], "No ArtDream runs on the folder artdream-data: start one with `artdream up`,"),
        (["send", "in.jpg"], "No ArtDream runs on the folder artdream-data"),
        (["watch"], "The inbox inbox is not a folder"),
        (["up", "--host", "192.0.2.1"], "The display cannot use port 8501 on 192.0.2.1 ("),
        (
            ["train", "--dataset", "x", "--out", "artist/a/b"],
            "“artist/a/b” is no valid name: after artist/ use letters,",
        ),
        (["up", "--port", "70000"], "Setting ARTDREAM_PORT: Input should be less than or equal to 65535"),
    ],
)
def test_a_fault_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    buffer = io.BytesIO()
    make_picture(2, (64, 48)).save(buffer, "JPEG")
    (tmp_path / "in.jpg").write_bytes(buffer.getvalue())
    (tmp_path / "text.heic").write_text("Dear diary")
    completed = run_in_process(*arguments, folder=tmp_path)
    assert completed.returncode == 1
    assert completed.stderr.startswith(f"artdream: {sentence}")
    assert completed.stderr.count("\n") == 1


def test_a_broker_that_does_not_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_BROKER_URL", "redis://:hidden@127.0.0.1:1/0")
    completed = run_in_process("status", folder=tmp_path)
    assert completed.returncode == 1
    assert completed.stderr.count("\n") == 1
    assert "The broker is unavailable: " in completed.stderr
    assert "hidden" not in completed.stderr


def test_a_brokers_address_that_is_none_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTDREAM_BROKER_URL", "hidden@localhost:6379")
    runs = [run_in_process(*command, folder=tmp_path) for command in (["status"], ["send", "in.jpg"])]
    runs.append(run_artdream("worker", folder=tmp_path))  # it configures the logging of its process
    for completed in runs:
        assert completed.returncode == 1
        assert completed.stderr.count("\n") == 1
        assert "begins with redis://" in completed.stderr
        assert "hidden" not in completed.stderr


def test_a_file_whose_name_is_no_text_is_sent_and_listed(tmp_path: Path, environment: dict[str, str]) -> None:
    """Seen failing with UnicodeEncodeError, after the file was sent."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "caf\udce9.jpg").write_bytes(encode_jpeg(make_picture(1)))
    strict = {"PYTHONIOENCODING": "utf-8:strict"}  # as in every locale but C
    completed = run_artdream("send", "photos", folder=tmp_path, environment=environment | strict)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout.startswith("photos/caf\\udce9.jpg: job ")


@pytest.mark.parametrize("command", [("dream",), ("compare",), ("recipes", "sheet")], ids=" ".join)
def test_a_photo_is_never_written_over(tmp_path: Path, command: tuple[str, ...]) -> None:
    """Seen failing without the comparison: the only copy of the photo became the dream."""
    photo = encode_jpeg(make_picture(1))
    (tmp_path / "in.jpg").write_bytes(photo)
    (tmp_path / "also.jpg").hardlink_to(tmp_path / "in.jpg")
    (tmp_path / "link.jpg").symlink_to("in.jpg")
    for target in ("in.jpg", "also.jpg", "link.jpg"):
        completed = run_in_process(*command, "in.jpg", target, folder=tmp_path)
        assert completed.returncode == 1
        assert f"{target} is the picture that is read" in completed.stderr
    assert (tmp_path / "in.jpg").read_bytes() == photo


def test_doctor_says_what_is_missing_and_goes_on(tmp_path: Path) -> None:
    completed = run_in_process("doctor", folder=tmp_path)
    assert completed.returncode == 1
    lines = dict.fromkeys(line.split()[1] for line in completed.stdout.splitlines())
    assert list(lines) == ["python", "inbox", "heic", "broker", "store", "worker", "network", "phones", "disk"]
    assert "✗ inbox" in completed.stdout
    assert "✓ heic" in completed.stdout


def test_doctor_says_the_same_as_json(tmp_path: Path) -> None:
    completed = run_in_process("doctor", "--json", folder=tmp_path)
    assert (completed.returncode, completed.stderr) == (1, "")
    results = [CheckResult.model_validate(result) for result in json.loads(completed.stdout)]
    lines = run_in_process("doctor", folder=tmp_path).stdout.splitlines()
    assert [(result.name, result.passed) for result in results] == [
        (line.split()[1], line.startswith("✓")) for line in lines
    ]
    assert next(result for result in results if result.name == "inbox").finding in lines[1]


@pytest.mark.slow
def test_a_photo_dreams_as_a_painter_named_as_one_likes(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    completed = run_in_process(
        "dream", "in.jpg", "out.jpg", "--artist", "paul klee", "--canvas", "256", folder=tmp_path
    )
    assert completed.returncode == 0, completed.stderr
    photo_percent, dream_percent = (
        float(percent.strip(" %\n")) for percent in completed.stdout.rpartition("Paul Klee:")[2].split("→")
    )
    assert dream_percent > photo_percent
    unknown = run_in_process("dream", "in.jpg", "out.jpg", "--artist", "Paul Clay", folder=tmp_path)
    assert unknown.returncode == 1
    assert "has no class “Paul Clay”. Did you mean Paul Klee" in unknown.stderr


def test_painters_are_listed_and_written_as_files_to_change(tmp_path: Path) -> None:
    assert "more-paul-klee " in run_in_process("recipes", "painters", folder=tmp_path).stdout
    completed = run_in_process("recipes", "painters", "artist/masters-robust", "--out", "mine", folder=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert load_recipe(str(tmp_path / "mine" / "more-paul-klee.toml")) == load_recipe("more-paul-klee")
    assert len(list((tmp_path / "mine").iterdir())) == 100


@pytest.mark.slow
def test_two_networks_are_compared_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream, "COMPARED_PAINTERS", dream.COMPARED_PAINTERS[:2])
    (tmp_path / "in.jpg").write_bytes(encode_jpeg(make_picture(1)))
    completed = run_in_process(
        "compare", "in.jpg", "sheet.jpg", "--layer", "block8", "--canvas", "256", folder=tmp_path
    )
    assert completed.returncode == 0, completed.stderr
    assert "artist/masters and lite" in completed.stdout
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 4 * 360
