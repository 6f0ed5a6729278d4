"""deploy/vm/install sets up a worker, running it twice changes nothing, and its systemd units are sandboxed."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from artdream.cli.remote_check import MIN_DRIVER_VERSION, SYSTEMD_UNIT, VENV_PATH
from shared.settings import ENV_PREFIX, Settings
from tests.skip import skip_or_fail
from tests.stack import free_port
from worker.consumer.shutdown import RELEASE_TIMEOUT_SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VM_FOLDER = ROOT / "deploy" / "vm"
INSTALL_SCRIPT = VM_FOLDER / "install"
UNITS = ["artdream-valkey.service", "artdream-worker.service"]

#: Variables of a unit that are not ArtDream's.
FOREIGN_VARIABLES = {"HOME"}


class UnitFile(configparser.RawConfigParser):
    """A systemd unit file, in which a key may occur more than once."""

    optionxform = staticmethod(str)  # type: ignore[assignment]

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False)
        self.read_string(path.read_text())
        self.lines = path.read_text().splitlines()

    def all_values(self, key: str) -> list[str]:
        """Return all values of a key."""
        return [line.partition("=")[2] for line in self.lines if line.startswith(f"{key}=")]


@pytest.mark.parametrize(
    "script", [INSTALL_SCRIPT, *sorted(ROOT.glob("tests/deploy/*.sh"))], ids=lambda path: path.name
)
def test_shellcheck_finds_nothing(script: Path) -> None:
    completed = subprocess.run([Path(sys.executable).with_name("shellcheck"), script], capture_output=True, text=True)
    assert completed.returncode == 0, completed.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results of running the script twice."""
    folder = tmp_path_factory.mktemp("vm")
    if os.getuid() != 0:
        pytest.skip("needs root, for a namespace in which the script may write to /etc, /opt and /var")
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode:
        pytest.skip("needs a machine on which root may mount, for a namespace to install in")
    path = f"{ROOT / '.tools' / 'bin'}:{os.environ['PATH']}"
    with (folder / "log").open("wb") as log:
        command: list[str | Path] = [
            *namespace,
            ROOT / "tests" / "deploy" / "vm.sh",
            INSTALL_SCRIPT,
            folder,
            str(free_port()),
        ]
        completed = subprocess.run(command, env={**os.environ, "PATH": path}, stdout=log, stderr=log, timeout=900)
    outputs = [file.read_text() for file in (folder / "log", folder / "first", folder / "second") if file.exists()]
    assert completed.returncode == 0, "\n".join(outputs)
    return folder


def test_running_it_again_changes_nothing(installed: Path) -> None:
    assert (installed / "after-first").read_text() == (installed / "after-second").read_text()


def test_its_kernel_is_told_how_to_make_way(installed: Path) -> None:
    """Systemd applies the file; the test does not, because it would change this machine's kernel."""
    assert "/etc/sysctl.d/90-artdream.conf" in (installed / "after-first").read_text()
    entries = [
        line.split(" = ") for line in (VM_FOLDER / "sysctl.conf").read_text().splitlines() if not line.startswith("#")
    ]
    assert entries
    for key, _ in entries:
        assert Path("/proc/sys", *key.split(".")).exists()


def test_what_the_owner_set_stays(installed: Path) -> None:
    assert (installed / "kept").read_text() == "ARTDREAM_LOG=json\n"


def test_a_further_extra_is_installed_beside_the_others(installed: Path) -> None:
    assert (installed / "extra").read_text() == "opentelemetry.sdk\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--fast"], "It takes --without-gpu and --extra NAME, and this is something else: --fast"),
        (["--without-gpu", "--extra"], "--extra needs the name of an extra, as in --extra tracing."),
    ],
)
def test_what_the_script_does_not_know_is_named(arguments: list[str], sentence: str) -> None:
    completed = subprocess.run([INSTALL_SCRIPT, *arguments], capture_output=True, text=True)
    assert (completed.returncode, completed.stdout, completed.stderr) == (1, "", f"install: {sentence}\n")


def test_the_password_is_for_root_only_and_never_shown(installed: Path) -> None:
    lines = (installed / "rights").read_text().splitlines()
    permissions = {path: rights for rights, path in (line.rsplit(" ", 1) for line in lines)}
    assert permissions["/etc/artdream/secrets.env"] == "600 root"
    assert permissions["/etc/artdream/valkey.conf"] == "600 root"
    url = (installed / "secrets.env").read_text()
    password = re.fullmatch(r"ARTDREAM_BROKER_URL=redis://:([0-9a-f]{48})@127\.0\.0\.1:6379/0\n", url)
    assert password
    for name in ("first", "second", "log", "worker.log", "valkey.log", "commands", "status", "doctor"):
        assert password[1] not in (installed / name).read_text(), name


def test_its_broker_and_its_worker_run_as_its_user(installed: Path) -> None:
    assert "ready" in (installed / "status").read_text(), (installed / "worker.log").read_text()
    doctor = " ".join((installed / "doctor").read_text().split())
    assert "✓ broker answers, evicts nothing, keeps an append-only file" in doctor


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    if not (installed / "verified").exists():
        skip_or_fail("needs systemd-analyze: apt install systemd")
    assert (installed / "verified").read_text() == ""


def test_it_says_that_no_systemd_runs(installed: Path) -> None:
    assert "no systemd runs here" in (installed / "first").read_text()


def test_without_a_driver_it_says_so_and_does_nothing() -> None:
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has a driver")
    if os.getuid() != 0:
        pytest.skip("needs root")
    completed = subprocess.run([INSTALL_SCRIPT], capture_output=True, text=True)
    assert completed.returncode == 1
    assert completed.stdout == ""
    assert completed.stderr.startswith("install: There is no nvidia-smi, so no driver: ")
    assert completed.stderr.count("\n") == 1
    assert not Path("/opt/artdream").exists()


def test_an_old_driver_is_told(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root")
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 470.82.01\n")
    smi.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    completed = subprocess.run([INSTALL_SCRIPT], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert completed.returncode == 1
    assert f"The driver is 470.82.01, and {MIN_DRIVER_VERSION} is the first that will do" in completed.stderr


def test_who_is_not_root_is_told() -> None:
    if os.getuid() == 0:
        script = INSTALL_SCRIPT.read_text()
        completed = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "bash", "-s"], input=script, capture_output=True, text=True
        )
    else:
        completed = subprocess.run([INSTALL_SCRIPT], capture_output=True, text=True)
    assert (completed.returncode, completed.stderr) == (
        1,
        "install: This sets up a system: run it as root, with sudo.\n",
    )


@pytest.mark.parametrize("name", UNITS)
def test_each_unit_may_do_nothing_but_its_work(name: str) -> None:
    unit = UnitFile(VM_FOLDER / name)
    expected = {
        "User": "artdream",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "ProtectControlGroups": "yes",
        "ProtectKernelLogs": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelTunables": "yes",
        "LockPersonality": "yes",
        "ProtectProc": "invisible",
        "RestrictNamespaces": "yes",
        "RestrictSUIDSGID": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallFilter": "@system-service",
        "Restart": "always",
    }
    assert expected.items() <= dict(unit["Service"]).items()
    assert unit["Unit"]["StartLimitIntervalSec"] == "0", "it is started again, however often it fails"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_worker_s_unit_says_nothing_that_the_code_does_not_know() -> None:
    unit = UnitFile(VM_FOLDER / "artdream-worker.service")
    assert f"{SYSTEMD_UNIT}.service" in UNITS, "`artdream deploy check` asks for it"
    assert unit.all_values("ExecStart") == [f"{VENV_PATH}/bin/artdream worker"]
    environment = dict(line.split("=", 1) for line in unit.all_values("Environment"))
    example = [line.removeprefix("# ") for line in (VM_FOLDER / "worker.env").read_text().splitlines()]
    example_names = {line.partition("=")[0] for line in example if line.startswith(ENV_PREFIX)}
    for name in {*environment, *example_names} - FOREIGN_VARIABLES:
        assert name.removeprefix(ENV_PREFIX).lower() in Settings.model_fields, name
    assert unit["Service"]["StateDirectory"] == Path(environment["ARTDREAM_DATA"]).name
    grace = float(environment["ARTDREAM_GRACE_SECONDS"]) + RELEASE_TIMEOUT_SECONDS
    assert grace < float(unit["Service"]["TimeoutStopSec"]) <= grace + 10
    assert unit["Service"]["KillMode"] == "mixed"


def test_the_broker_is_for_this_machine_only() -> None:
    unit, config = UnitFile(VM_FOLDER / "artdream-valkey.service"), (VM_FOLDER / "valkey.conf").read_text().splitlines()
    assert {"bind 127.0.0.1", "appendonly yes", "maxmemory-policy noeviction", "protected-mode yes"} <= set(config)
    assert (unit["Service"]["IPAddressDeny"], unit["Service"]["IPAddressAllow"]) == ("any", "localhost")
    assert unit["Service"]["ExecStart"].endswith("${CREDENTIALS_DIRECTORY}/valkey.conf")
    assert f"dir /var/lib/{unit['Service']['StateDirectory']}" in config
