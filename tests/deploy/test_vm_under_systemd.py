"""deploy/vm/install on a Debian that boots: its units come back, whatever ends them, and are sandboxed."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.remote_vm import ROOT, RemoteVm
from tests.deploy.virtual_machine import VirtualMachine
from tests.network.virtual_network import virtual_network
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BROKER, WORKER = "artdream-valkey", "artdream-worker"
BOTH_UNITS = pytest.mark.parametrize("unit", [WORKER, BROKER])

#: The last commit before its files were renamed, and the one whose data tests/e2e/test_upgrade.py has.
EARLIER_VERSION = "3af2557"

#: What `systemd-analyze security` may give a unit, of 10.
MAX_EXPOSURE = 3.0

#: Prints the name of each thing that it can do. Arguments: a folder, and address and port of another machine.
PROBE = """
can() { local name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name"; fi; }
can write-state touch "$1/probe"
can write-system touch /etc/probe
can write-program touch /opt/artdream/probe
can write-libraries touch /var/lib/probe
can read-secrets cat /etc/artdream/secrets.env
can read-homes ls /home/artist
can read-others-tmp ls /tmp/of-another
can see-processes grep -q systemd /proc/1/cmdline
can set-kernel sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
can set-cgroups mkdir /sys/fs/cgroup/probe
can make-namespaces unshare --user true
can become-root sudo -n true
can leave-suid sh -c 'cp /bin/true "$0/suid" && chmod u+s "$0/suid"' "$1"
can trace python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0))'
can read-network-settings python3 -c 'import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)'
can read-packets python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'
can connect python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], sys.argv[2]), 3)' "$2" "$3"
"""

#: What remains of that.
ALLOWED = {BROKER: {"write-state"}, WORKER: {"write-state", "read-network-settings", "connect"}}


@contextmanager
def boot_vm(debian: Path, folder: Path) -> Iterator[RemoteVm]:
    """Yield a VM that runs, on which nothing is installed yet."""
    with virtual_network() as network:
        mac, host = network.add_host("mac"), network.add_host("vm", "bbr")
        addresses = network.connect_local(mac, host)
        with VirtualMachine(debian, folder / "machine", host) as machine:
            machine.boot()
            with RemoteVm(machine, mac, addresses, folder) as vm:
                yield vm


@pytest.fixture(scope="module")
def vm(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteVm]:
    """A VM with this version, whose worker is warm and whose store is a bucket."""
    with boot_vm(debian, tmp_path_factory.mktemp("vm")) as vm:
        vm.copy_checkout()
        vm.install()
        vm.set_store()
        vm.send_photos(1, "--wait", "--out", "dreams")
        yield vm


def require_all_up(vm: RemoteVm) -> None:
    """Fail if a unit of the VM does not run."""
    assert vm.machine.run("systemctl is-system-running").strip() == "running"
    assert vm.machine.run(f"systemctl is-active {BROKER} {WORKER}").split() == ["active"] * 2
    assert vm.machine.run(f"systemctl is-enabled {BROKER} {WORKER}").split() == ["enabled"] * 2


def test_a_photo_of_the_mac_is_dreamt_through_its_broker(vm: RemoteVm) -> None:
    vm.require_all_dreamt_once()
    assert [path.name for path in (vm.folder / "dreams").iterdir()] == ["1-lines.jpg"]
    require_all_up(vm)
    assert vm.machine.run("sysctl -n net.ipv4.tcp_congestion_control").strip() == vm.machine.host.congestion_control


def test_deploy_check_finds_it_ready_but_for_the_card_that_it_has_not(vm: RemoteVm) -> None:
    completed = vm.artdream("deploy", "check", vm.account)
    marks = dict(line.split()[1::-1] for line in completed.stdout.splitlines())
    assert marks.pop("driver") == "✗"
    assert set(marks.values()) == {"✓"}, completed.stdout
    assert completed.returncode == 1


def test_installing_it_again_restarts_the_worker_and_nothing_else(vm: RemoteVm) -> None:
    broker, worker = vm.get_pid(BROKER), vm.get_pid(WORKER)
    listing = "find /etc/artdream /etc/systemd /etc/sysctl.d -type f | sort | xargs sha256sum; cat /etc/passwd"
    before = vm.machine.run(listing)
    vm.install()
    assert vm.machine.run(listing) == before
    assert vm.get_pid(BROKER) == broker
    assert vm.get_pid(WORKER) not in (worker, 0)
    require_all_up(vm)


@BOTH_UNITS
def test_a_unit_that_is_killed_comes_back_and_no_photo_is_lost(unit: str, vm: RemoteVm) -> None:
    started, pid = vm.count_started(), vm.get_pid(unit)
    vm.send_photos(2)
    vm.wait_until_dreaming(started)
    vm.machine.run(f"kill -9 {pid}")
    wait_until(lambda: vm.get_pid(unit) not in (pid, 0), "it runs again", explain=vm.read_journal)
    vm.require_all_dreamt_once()
    require_all_up(vm)


def test_after_a_restart_of_the_machine_all_goes_on(vm: RemoteVm) -> None:
    started = vm.count_started()
    vm.send_photos(2)
    vm.wait_until_dreaming(started)
    vm.machine.reboot()
    require_all_up(vm)
    vm.require_all_dreamt_once()


def test_after_a_power_cut_all_goes_on(vm: RemoteVm) -> None:
    started = vm.count_started()
    vm.send_photos(2)
    vm.wait_until_dreaming(started)
    vm.machine.cut_power()
    vm.machine.boot()
    require_all_up(vm)
    vm.require_all_dreamt_once()


def test_a_broker_that_cannot_start_for_a_while_starts_when_it_can(vm: RemoteVm) -> None:
    """Seen failing: after five tries within ten seconds systemd left it alone."""
    vm.machine.run("mv /etc/artdream/valkey.conf /etc/artdream/away")
    vm.machine.run(f"systemctl restart {BROKER}", check=False)
    for _ in range(6):  # as the worker's unit does whenever it starts
        vm.machine.run(f"systemctl start {BROKER}", check=False)
    vm.machine.run("mv /etc/artdream/away /etc/artdream/valkey.conf")
    wait_until(lambda: vm.get_pid(BROKER), "it runs", 30, explain=vm.read_journal)
    vm.send_photos(1)
    vm.require_all_dreamt_once()
    require_all_up(vm)


def test_installing_says_so_if_the_broker_does_not_answer(vm: RemoteVm) -> None:
    """Seen failing: it said that the worker runs."""
    vm.machine.run(f"systemctl stop {BROKER}; systemd-run --unit other python3 -m http.server --bind 127.0.0.1 6379")
    try:
        completed = vm.install(check=False)
    finally:
        vm.machine.run(f"systemctl stop other; systemctl restart {BROKER}")
    assert completed.returncode == 1
    assert completed.stderr.splitlines()[-1].startswith("install: The broker does not answer")
    vm.send_photos(1)
    vm.require_all_dreamt_once()


def test_the_journal_tells_of_both_and_of_no_secret(vm: RemoteVm) -> None:
    journal = vm.machine.run("journalctl --no-pager")
    assert "Ready to accept connections" in vm.machine.run(f"journalctl --no-pager --unit {BROKER}")
    worker_lines = vm.machine.run(f"journalctl --no-pager --unit {WORKER}")
    assert re.search(r"worker \S+ is warm after", worker_lines)
    assert re.search(r"job [0-9a-f]{32} completed", worker_lines)
    assert vm.password not in journal
    assert vm.s3.secret_key not in journal


@BOTH_UNITS
def test_systemd_finds_little_that_a_unit_is_exposed_to(unit: str, vm: RemoteVm) -> None:
    """Seen failing: the worker's might use every system call, which made 3.5."""
    verdict = vm.machine.run(f"systemd-analyze security --no-pager {unit}").splitlines()[-1]
    found = re.search(r"exposure level for \S+: ([0-9.]+)", verdict)
    assert found, verdict
    assert float(found[1]) <= MAX_EXPOSURE


@BOTH_UNITS
def test_a_unit_can_do_nothing_but_its_work(unit: str, vm: RemoteVm) -> None:
    folder = f"/var/lib/{vm.machine.run(f'systemctl show --property StateDirectory --value {unit}').strip()}"
    (vm.machine.root / "usr/local/bin/probe").write_text(PROBE)
    vm.machine.run("touch /tmp/of-another")
    command = f"/usr/bin/bash /usr/local/bin/probe {folder} {vm.mac_address} {vm.s3.port}"
    without_limits = set(vm.machine.run(command).split())
    vm.machine.run(f"rm -f {folder}/probe {folder}/suid; rmdir /sys/fs/cgroup/probe")
    assert without_limits == set(re.findall(r"^can (\S+)", PROBE, re.MULTILINE)), "each is possible without the unit"

    text = (vm.machine.root / "etc/systemd/system" / f"{unit}.service").read_text()
    output = "StandardOutput=truncate:/root/can\nStandardError=null"
    text = re.sub("^ExecStart=.*", f"Type=oneshot\n{output}\nExecStart={command}", text, flags=re.MULTILINE)
    text = re.sub("^(Restart|ExecStartPre)=.*\n", "", text, flags=re.MULTILINE)
    (vm.machine.root / "etc/systemd/system/probe.service").write_text(text)
    can = set(vm.machine.run("systemctl daemon-reload; systemctl start probe; cat /root/can").split())
    vm.machine.run(f"rm -f {folder}/probe /etc/systemd/system/probe.service; systemctl daemon-reload")
    assert can == ALLOWED[unit]


def test_an_upgrade_in_the_middle_of_a_batch_loses_nothing(debian: Path, tmp_path: Path) -> None:
    git = shutil.which("git")
    if not git or subprocess.run([git, "cat-file", "-e", EARLIER_VERSION], cwd=ROOT, capture_output=True).returncode:
        pytest.skip(f"needs commit {EARLIER_VERSION}, which this checkout does not have")
    with boot_vm(debian, tmp_path) as vm:
        vm.copy_checkout(EARLIER_VERSION)
        vm.install()
        vm.set_store()
        vm.send_photos(1, "--wait", "--out", "dreams")
        started, broker = vm.count_started(), vm.get_pid(BROKER)
        vm.send_photos(6)
        vm.wait_until_dreaming(started)
        vm.copy_checkout()
        vm.install()
        vm.require_all_dreamt_once()
        require_all_up(vm)
        assert vm.get_pid(BROKER) != broker, "its unit has changed since"
