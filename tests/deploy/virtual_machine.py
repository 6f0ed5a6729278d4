"""A Debian with systemd as its first process, in namespaces of this machine, for what a VM would be needed for."""

import os
import secrets
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.network.virtual_network import VirtualHost
from tests.skip import skip_or_fail
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
BOOT_SCRIPT = Path(__file__).with_name("boot_vm.sh")

#: What a cloud's image of Debian 12 has of what counts here, besides the packages that every Debian has.
_PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "libpam-systemd",
    "openssh-server",
    "python3",
    "sudo",
    "systemd-sysv",
)

#: Certificate authorities that this machine trusts, so that a machine in it reaches the same registries.
_AUTHORITIES = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))

#: The user of the README's examples, who may do everything by sudo.
USER = "artist"

#: slirp4netns answers names at this address.
_NAME_SERVER = "10.0.2.3"

#: Namespaces of a machine besides its network, for `unshare`.
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child")

#: Where control groups of version 2 are, on machines that also have version 1 and on others.
_CGROUP_FOLDERS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def require_systemd() -> None:
    """Skip the test if it was not asked for, or if a Debian cannot be made or booted here; in CI, fail it."""
    if not os.environ.get("ARTDREAM_CONTAINERS"):
        pytest.skip("makes and boots a Debian for minutes: make test-containers")
    if os.getuid() != 0:
        pytest.skip("needs root, to boot a Debian in namespaces")
    for command in ("debootstrap", "slirp4netns"):
        if shutil.which(command) is None:
            skip_or_fail(f"needs {command}: apt install {command}")
    probe = ["unshare", *_NAMESPACES, "mount", "-t", "cgroup2", "none", "/mnt"]
    if _find_cgroup_folder() is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs control groups of version 2, and leave to mount them in a namespace, for systemd")


def make_debian(folder: Path, suite: str = "bookworm") -> Path:
    """Return the root of a new Debian in `folder`, as a cloud's image would be; takes one to two minutes."""
    root = folder / suite
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", suite, str(root)]
    completed = subprocess.run([*command, "http://deb.debian.org/debian"], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout[-3000:] + completed.stderr
    return root


class VirtualMachine:
    """A Debian that runs from `boot` to the end of its context, with a disk of its own, an SSH server and a registry.

    Its kernel is this machine's, so are its memory and its processors. It is otherwise as bare as a new VM.
    """

    def __init__(self, debian: Path, folder: Path, host: VirtualHost) -> None:
        """debian: root that it starts with, which it does not change. folder: for its disk. host: its network."""
        self.folder, self.host = folder, host
        #: Root of its file system, as this machine sees it.
        self.root = folder / "root"
        self.key = folder / "key"
        self._debian = debian
        self._process: subprocess.Popen[bytes] | None = None
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self._mount_disk(resources)
            self._set_up_login()
            self._connect_registry(resources)
            cgroups = _find_cgroup_folder()
            assert cgroups
            self._cgroup = cgroups / f"artdream-{secrets.token_hex(4)}"
            self._cgroup.mkdir()
            resources.callback(self._remove_cgroup)
            resources.callback(self.cut_power)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def boot(self) -> None:
        """Start systemd, and wait until everything that it starts by itself is up."""
        join = f'echo $$ >"{self._cgroup}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", join, "sh", "unshare", *_NAMESPACES, str(BOOT_SCRIPT)]
        with (self.folder / "console").open("ab") as console:
            self._process = self.host.start([*command, str(self.root)], log=console)
        wait_until(
            lambda: self.run("systemctl is-system-running", check=False) in ("running\n", "degraded\n"),
            "systemd is up",
            explain=(self.folder / "console").read_text,
        )

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as root and return what it printed to its standard output."""
        if (init := self._find_init()) is None:
            assert not check, "it does not run"
            return ""
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--root", "--wdns=/"]
        command = ["nsenter", f"--target={init.pid}", *namespaces, "/usr/bin/env", "-i", "HOME=/root"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        completed = subprocess.run([*command, path, "bash", "-c", script], capture_output=True, text=True, check=False)
        assert completed.returncode == 0 or not check, completed.stdout + completed.stderr
        return completed.stdout

    def reboot(self) -> None:
        """Restart it in good order, as an operator does, and wait until it is up again."""
        assert self._process
        self.run("systemctl reboot", check=False)
        assert self._process.wait(120) == -signal.SIGHUP, "it did not ask for a restart"
        self.boot()

    def cut_power(self) -> None:
        """Kill everything that runs on it at once. Its disk stays as it is."""
        if init := self._find_init():
            init.kill()
        if self._process:
            self._process.wait()
            self._process = None

    def _find_init(self) -> psutil.Process | None:
        try:
            return psutil.Process(self._process.pid).children()[0] if self._process else None
        except (IndexError, psutil.NoSuchProcess):
            return None

    def _mount_disk(self, resources: ExitStack) -> None:
        """Mount a disk, which holds the Debian, and on it this machine's cache of uv, which saves downloads.

        What is written to either is written to a folder of this VM, and removed with it.
        """
        cache = Path(os.environ.get("UV_CACHE_DIR", Path.home() / ".cache/uv"))
        cache.mkdir(parents=True, exist_ok=True)
        for name, lower, target in (("disk", self._debian, self.root), ("cache", cache, self.root / "root/.cache/uv")):
            upper, work = self.folder / name / "changes", self.folder / name / "work"
            for folder in (upper, work, target):
                folder.mkdir(parents=True)
            options = f"lowerdir={lower},upperdir={upper},workdir={work}"
            command: list[str | Path] = ["mount", "-t", "overlay", "-o", options, "none", target]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("needs a file system that can be the upper one of an overlay, for a disk of its own")
            resources.callback(_run, "rm", "-rf", str(self.folder / name))
            resources.callback(_run, "umount", "--lazy", str(target))

    def _set_up_login(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        subprocess.run(["useradd", "--root", self.root, "--create-home", "--shell", "/bin/bash", USER], check=True)
        keys = self.root / "home" / USER / ".ssh" / "authorized_keys"
        keys.parent.mkdir()
        keys.write_text(self.key.with_suffix(".pub").read_text())
        subprocess.run(["chroot", self.root, "chown", "-R", f"{USER}:", f"/home/{USER}/.ssh"], check=True)
        (self.root / "etc/sudoers.d" / USER).write_text(
            f'{USER} ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep += "SSL_CERT_FILE"\n'
        )

    def _connect_registry(self, resources: ExitStack) -> None:
        """Give it a name, and a way to the registries through a process of this machine."""
        (self.root / "etc/hostname").write_text("vm\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 vm\n")
        (self.root / "etc/resolv.conf").write_text(f"nameserver {_NAME_SERVER}\n")
        shutil.copyfile(_AUTHORITIES, self.root / "etc/ssl/certs/ca-certificates.crt")
        (self.root / "etc/environment").write_text("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n")
        command = ["slirp4netns", "--configure", "--mtu=1400", "--disable-host-loopback", "--netns-type=path"]
        process = subprocess.Popen([*command, f"/run/netns/{self.host.name}", "registry"], stdout=subprocess.DEVNULL)
        resources.callback(process.wait)
        resources.callback(process.kill)

    def _remove_cgroup(self) -> None:
        for folder, _, _ in os.walk(self._cgroup, topdown=False):
            wait_until(lambda folder=folder: not (Path(folder) / "cgroup.procs").read_text(), "nothing runs in it")  # type: ignore[misc]
            Path(folder).rmdir()


def _find_cgroup_folder() -> Path | None:
    return next((folder for folder in _CGROUP_FOLDERS if (folder / "cgroup.subtree_control").exists()), None)
