"""The launchd agents of a Mac run existing commands, and the install script may run more than once."""

import os
import plistlib
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from artdream.cli.main import app
from producer.decoding.convert import convert
from shared.broker.client import connect
from shared.jobs.events import Accepted, EventReader, FileRejected
from shared.jobs.queue import iter_queued_job_ids
from shared.settings import ENV_PREFIX, Settings
from tests.deploy.launchd import KEY_TYPES, PROCESS_TYPES, Agent
from tests.pictures import encode_jpeg, make_picture
from tests.stack import free_port
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MAC_FOLDER = ROOT / "deploy" / "mac"
AGENT_NAMES = ["display", "kiosk", "logs", "printer", "producer", "webhooks"]

#: A launchctl that logs its arguments. As on a Mac, an agent cannot be loaded while the earlier one is still ending.
FAKE_LAUNCHCTL = """
echo "$@" >> "$HOME/launchctl.log"
if [ "$1" = bootout ]; then touch "$HOME/ending"; exit; fi
if [ -e "$HOME/ending" ]; then rm "$HOME/ending"; echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; fi
"""

#: Fake programs of a Mac: system name, user id, and launchctl.
FAKE_PROGRAMS = {"uname": "echo Darwin", "id": "echo 501", "launchctl": FAKE_LAUNCHCTL}


def run_install(home: Path, programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"HOME": str(home), "PATH": f"{programs}:{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"}
    cache = os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    environment = {**os.environ, **environment, "UV_CACHE_DIR": cache}
    return subprocess.run(
        [MAC_FOLDER / "install", *arguments], env=environment, capture_output=True, text=True, timeout=900
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home folder of a Mac's user after two installations, with a setting changed in between."""
    home, programs = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("bin")
    for name, text in FAKE_PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    (home / ".local" / "bin").mkdir(parents=True)
    (command := home / ".local" / "bin" / "artdream").write_text("another program")
    first = run_install(home, programs, "--print", "--webhooks")
    assert first.returncode == 0, first.stderr
    assert f"{command} is another program and stays as it is" in first.stdout
    assert command.read_text() == "another program"
    command.unlink()
    agents_before = load_agents(home)
    settings_file = home / "Library" / "Application Support" / "ArtDream" / ".env"
    assert settings_file.read_text() == (ROOT / ".env.example").read_text()
    settings_file.write_text("ARTDREAM_RECIPE=lines\n")
    second = run_install(home, programs, "--imageio", "--print", "--webhooks", "--extra", "tracing")
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
        assert {key: type(value) for key, value in agent.items()} == {key: KEY_TYPES[key] for key in agent}
        assert agent["ProcessType"] in PROCESS_TYPES
        assert "@" not in str(agent), "a placeholder is left"
        assert agent["RunAtLoad"]
        # Launchd would start a program that ends by itself again and again.
        assert ("KeepAlive" in agent, "StartInterval" in agent) == (part != "logs", part == "logs")
        assert agent.get("KeepAlive", True)
        assert Path(agent["WorkingDirectory"]).is_dir()
        assert Path(agent["StandardErrorPath"]).parent.is_dir()
        if part not in ("kiosk", "logs"):
            program, name, *arguments = agent["ProgramArguments"]
            assert os.access(program, os.X_OK)
            command.get_command(None, name).make_context(name, arguments)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ("", "http://127.0.0.1:8501"),
        ("ARTDREAM_HOST=0.0.0.0\nARTDREAM_PORT=8600\n# ARTDREAM_PORT=8700\n", "http://127.0.0.1:8600"),
        ('ARTDREAM_HOST="192.168.1.20"\n', "http://192.168.1.20:8501"),
        ("ARTDREAM_PORT=8600  # the hall's\nARTDREAM_PORT=8700 # the foyer's\n", "http://127.0.0.1:8700"),
    ],
    ids=["by default", "open", "at an address", "set twice, with comments"],
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
def start_agent(home: Path) -> Iterator[Callable[..., Agent]]:
    """Return a function that starts the agent of a component, with changes of its property list."""
    agents: list[Agent] = []

    def start(part: str, **changes: Any) -> Agent:
        agents.append(Agent(load_agents(home)[part] | changes, home))
        return agents[-1]

    yield start
    for agent in agents:
        agent.kill()


def write_settings(home: Path, **settings: object) -> None:
    lines = [f"{ENV_PREFIX}{name.upper()}={value}\n" for name, value in settings.items()]
    (home / "Library" / "Application Support" / "ArtDream" / ".env").write_text("".join(lines))


def test_a_new_photo_in_downloads_is_sent_and_nothing_else_also_after_launchd_started_the_producer_again(
    home: Path, start_agent: Callable[..., Agent], broker_url: str
) -> None:
    downloads = home / "Downloads"
    downloads.mkdir()
    (downloads / "passport.jpg").write_bytes(encode_jpeg(make_picture(2)))
    (downloads / "tax-return.pdf").write_bytes(b"%PDF-1.7\n")
    write_settings(home, broker_url=broker_url, recipe="lines")
    producer = start_agent("producer")
    wait_until(
        lambda: "Watching" in read_log(home, "producer"), "it watches", explain=lambda: read_log(home, "producer")
    )
    (downloads / "photo.jpg").write_bytes(encode_jpeg(make_picture(1)))
    with connect(broker_url) as client:
        # Jobs, not messages: a producer that is killed before it knows of its message sends another one.
        wait_until(lambda: len(set(iter_queued_job_ids(client))) == 1, "the photo is sent")
        producer.kill()
        (downloads / "photo 2.jpg").write_bytes(encode_jpeg(make_picture(1)))  # Finder's copy
        (downloads / "meanwhile.jpg").write_bytes(encode_jpeg(make_picture(3)))
        producer = start_agent("producer")
        wait_until(
            lambda: len(set(iter_queued_job_ids(client))) == 2,
            "the photo that came meanwhile is sent",
            explain=lambda: read_log(home, "producer"),
        )
        wait_until(lambda: "already known" in read_log(home, "producer"), "the copy is noticed")
        assert producer.stop() == 0
        events = [recorded.event for recorded in EventReader(client).read()]
    assert not any(isinstance(event, FileRejected) for event in events)
    assert [event.photo_id for event in events if isinstance(event, Accepted)] == [
        convert(encode_jpeg(make_picture(number))).photo_id for number in (1, 3)
    ]


def test_the_wall_comes_back_whichever_of_its_agents_starts_first(
    home: Path, start_agent: Callable[..., Agent], broker_url: str, tmp_path: Path
) -> None:
    """Only the browser is replaced: curl and the display are real, and each ends as soon as launchd asks."""
    write_settings(home, broker_url=broker_url, port=(port := free_port()))
    browser = tmp_path / "caffeinate"
    browser.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/opened\nexec sleep 600\n')
    browser.chmod(0o755)
    shell, option, script = load_agents(home)["kiosk"]["ProgramArguments"]
    arguments = [shell, option, script.replace("/usr/bin/caffeinate", str(browser))]
    kiosk = start_agent("kiosk", ProgramArguments=arguments)
    display = start_agent("display")
    wait_until((tmp_path / "opened").exists, "the browser opens", explain=lambda: read_log(home, "display"))
    wait_until(lambda: (tmp_path / "opened").read_text().endswith(f" http://127.0.0.1:{port}\n"))
    assert display.stop() == 0
    assert kiosk.process.is_running(), "the page waits for the display by itself"
    assert kiosk.stop() == -signal.SIGTERM
    assert "Traceback" not in read_log(home, "display") + read_log(home, "kiosk")


def read_log(home: Path, part: str) -> str:
    return (home / "Library" / "Logs" / "ArtDream" / f"{part}.log").read_text()


def test_settings_that_the_guide_names_exist() -> None:
    for name in re.findall(rf"{ENV_PREFIX}\w+", (MAC_FOLDER / "README.md").read_text()):
        assert name.removeprefix(ENV_PREFIX).lower() in Settings.model_fields, name


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("--fast", "It takes --imageio, --print, --webhooks and --extra NAME, and this is something else: --fast"),
        ("--extra", "--extra needs the name of an extra, as in --extra mirror."),
    ],
)
def test_what_the_script_does_not_know_is_named(argument: str, sentence: str, tmp_path: Path) -> None:
    completed = run_install(tmp_path, tmp_path, "--imageio", argument)
    assert completed.returncode == 1
    assert completed.stderr == f"install: {sentence}\n"
    assert not list(tmp_path.iterdir())


def test_a_further_extra_is_installed_beside_the_others(home: Path) -> None:
    python = home / "Library" / "Application Support" / "ArtDream" / "venv" / "bin" / "python"
    completed = subprocess.run(
        [python, "-c", "import opentelemetry.sdk, streamlit, segno"], capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr


def test_the_command_has_the_settings_of_the_agents_wherever_it_is_called(
    home: Path, broker_url: str, tmp_path: Path
) -> None:
    """Seen failing: it found neither the broker nor the inbox, because the guide called it in another folder."""
    write_settings(home, broker_url=broker_url)
    completed = subprocess.run(
        [home / ".local" / "bin" / "artdream", "doctor", "--inbox", tmp_path],
        cwd=tmp_path,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    lines = completed.stdout.splitlines()
    for check in ("inbox", "broker"):
        assert any(line.startswith(f"✓ {check}") for line in lines), completed.stdout + completed.stderr


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
