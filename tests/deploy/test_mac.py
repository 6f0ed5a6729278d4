"""The launchd agents of a Mac run existing commands, and the install script may run more than once."""

import os
import plistlib
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer

from artdream.cli.main import app
from producer.decoding.convert import convert
from shared.broker.client import connect
from shared.jobs.events import Accepted, EventReader, FileRejected
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.settings import ENV_PREFIX, Settings
from tests.pictures import encode_jpeg, make_picture
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MAC_FOLDER = ROOT / "deploy" / "mac"
AGENT_NAMES = ["display", "kiosk", "logs", "producer"]

#: A launchctl that logs its arguments. As on a Mac, an agent cannot be loaded while the earlier one is still ending.
FAKE_LAUNCHCTL = """
echo "$@" >> "$HOME/launchctl.log"
if [ "$1" = bootout ]; then touch "$HOME/ending"; exit; fi
if [ -e "$HOME/ending" ]; then rm "$HOME/ending"; echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; fi
"""

#: Fake programs of a Mac: system name, user id, and launchctl.
FAKE_PROGRAMS = {"uname": "echo Darwin", "id": "echo 501", "launchctl": FAKE_LAUNCHCTL}

#: The used keys of launchd.plist(5).
LAUNCHD_KEYS = {
    "Label", "ProgramArguments", "WorkingDirectory", "StandardOutPath", "StandardErrorPath", "RunAtLoad", "KeepAlive",
    "ThrottleInterval", "ExitTimeOut", "ProcessType", "StartInterval",
}  # fmt: skip


def run_install(home: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": f"{programs}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"}
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    environment = {**os.environ, **environment, "UV_CACHE_DIR": cache}
    return subprocess.run([MAC_FOLDER / "install"], env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a Mac's user after two installations, with a setting changed in between."""
    home, programs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bin")
    for name, text in FAKE_PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    first = run_install(home, programs)
    assert first.returncode == 0, first.stderr
    agents_before = load_agents(home)
    settings_file = home / "Library" / "Application Support" / "ArtDream" / ".env"
    assert settings_file.read_text() == (ROOT / ".env.example").read_text()
    settings_file.write_text("ARTDREAM_RECIPE=lines\n")
    second = run_install(home, programs)
    assert second.returncode == 0, second.stderr
    assert load_agents(home) == agents_before
    assert settings_file.read_text() == "ARTDREAM_RECIPE=lines\n", "the user's settings are kept"
    return home


def load_agents(home: Path) -> dict[str, dict[str, Any]]:
    """Return the launchd agents by component."""
    agents = {}
    for path in (home / "Library" / "LaunchAgents").iterdir():
        agent = plistlib.loads(path.read_bytes())
        assert path.stem == agent["Label"]
        agents[agent["Label"].removeprefix("org.artdream.")] = agent
    return agents


def test_each_agent_is_loaded_anew(home: Path) -> None:
    calls = (home / "launchctl.log").read_text().splitlines()
    for part in AGENT_NAMES:
        path = home / "Library" / "LaunchAgents" / f"org.artdream.{part}.plist"
        assert calls.count(f"bootout gui/501/org.artdream.{part}") == 2
        assert calls.count(f"bootstrap gui/501 {path}") == 4, "each fails once, as the earlier agent is still ending"


def test_agents_say_nothing_that_launchd_or_the_command_line_does_not_know(home: Path) -> None:
    assert sorted(load_agents(home)) == AGENT_NAMES
    command = typer.main.get_command(app)
    for part, agent in load_agents(home).items():
        assert set(agent) <= LAUNCHD_KEYS
        assert "@" not in str(agent), "a placeholder is left"
        assert Path(agent["WorkingDirectory"]).is_dir()
        assert Path(agent["StandardErrorPath"]).parent.is_dir()
        if part not in ("kiosk", "logs"):
            program, name, *arguments = agent["ProgramArguments"]
            assert os.access(program, os.X_OK)
            command.get_command(None, name).make_context(name, arguments)  # type: ignore[attr-defined, arg-type]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "http://127.0.0.1:8501"),
        ("ARTDREAM_HOST=0.0.0.0\nARTDREAM_PORT=8600\n# ARTDREAM_PORT=8700\n", "http://127.0.0.1:8600"),
        ('ARTDREAM_HOST="192.168.1.20"\n', "http://192.168.1.20:8501"),
    ],
    ids=["by default", "open", "at an address"],
)
def test_the_browser_waits_for_the_display_and_opens_it(home: Path, tmp_path: Path, settings: str, url: str) -> None:
    """Seen failing with a fixed address. tests/deploy/test_kubernetes.py requests this path of a real display."""
    assert Settings.model_fields["port"].default == 8501
    (tmp_path / ".env").write_text(settings)
    for name in ("curl", "caffeinate"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    script = load_agents(home)["kiosk"]["ProgramArguments"][-1].replace("/usr/bin/", f"{tmp_path}/")
    completed = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    waiting, browser = completed.stdout.splitlines()
    assert waiting.endswith(f" {url}/_stcore/health")
    assert browser.endswith(f" {url}")


def test_the_logs_of_the_agents_do_not_grow_for_ever(home: Path) -> None:
    """Seen failing: nothing ever cut them. A log is cut in place, as launchd keeps it open, and appends to it."""
    agents = load_agents(home)
    cut = agents.pop("logs")
    assert cut["StartInterval"] <= 24 * 3600
    for agent in agents.values():
        log_path = Path(agent["StandardErrorPath"])
        with log_path.open("ab") as log:
            log.write(b"x" * 11_000_000)
            log.flush()
            subprocess.run(cut["ProgramArguments"], cwd=cut["WorkingDirectory"], check=True)
            assert log_path.stat().st_size == 0
            assert log_path.with_name(f"{log_path.name}.1").stat().st_size >= 11_000_000, "the latest part is kept"
            log.write(b"goes on\n")
        subprocess.run(cut["ProgramArguments"], cwd=cut["WorkingDirectory"], check=True)
        assert log_path.read_bytes() == b"goes on\n"


def test_settings_that_may_hold_a_password_are_for_their_owner_only(home: Path) -> None:
    settings_file = home / "Library" / "Application Support" / "ArtDream" / ".env"
    assert stat.S_IMODE(settings_file.stat().st_mode) == 0o600


@pytest.fixture
def producer(home: Path, broker_url: str) -> Iterator[psutil.Popen]:
    """The producer, started as launchd does."""
    agent = load_agents(home)["producer"]
    (home / "Downloads").mkdir()
    (home / "Downloads" / "passport.jpg").write_bytes(encode_jpeg(make_picture(2)))
    (home / "Downloads" / "tax-return.pdf").write_bytes(b"%PDF-1.7\n")
    Path(agent["WorkingDirectory"], ".env").write_text(f"ARTDREAM_BROKER_URL={broker_url}\nARTDREAM_RECIPE=lines\n")
    with Path(agent["StandardErrorPath"]).open("ab") as log:
        process = psutil.Popen(
            agent["ProgramArguments"],
            cwd=agent["WorkingDirectory"],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            stderr=log,
        )
    yield process
    process.terminate()
    assert process.wait(agent["ExitTimeOut"]) == 0


def test_a_new_photo_in_downloads_is_sent_and_nothing_else_with_the_settings_of_the_user(
    home: Path, producer: psutil.Popen, broker_url: str
) -> None:
    wait_until(lambda: "Watching" in read_producer_log(home), "it watches", explain=lambda: read_producer_log(home))
    (home / "Downloads" / "photo.jpg").write_bytes(encode_jpeg(make_picture(1)))
    with connect(broker_url) as client:
        wait_until(lambda: count_queued(client, Lane.LIVE), "the photo is sent")
        (event,) = [
            recorded.event
            for recorded in EventReader(client).read()
            if isinstance(recorded.event, Accepted | FileRejected)
        ]
    assert isinstance(event, Accepted)
    assert event.photo_id == convert(encode_jpeg(make_picture(1))).photo_id


def read_producer_log(home: Path) -> str:
    return (home / "Library" / "Logs" / "ArtDream" / "producer.log").read_text()


def test_settings_that_the_guide_names_exist() -> None:
    for name in re.findall(rf"{ENV_PREFIX}\w+", (MAC_FOLDER / "README.md").read_text()):
        assert name.removeprefix(ENV_PREFIX).lower() in Settings.model_fields, name


def test_elsewhere_than_on_a_mac_it_does_nothing(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        pytest.skip("this is a Mac")
    completed = run_install(tmp_path, tmp_path)
    assert (completed.returncode, completed.stderr) == (
        1,
        "install: This is for a Mac; for a machine with Ubuntu see deploy/vm.\n",
    )
    assert not list(tmp_path.iterdir())


def test_shellcheck_finds_nothing() -> None:
    completed = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), MAC_FOLDER / "install"], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stdout
