"""A real CUPS server of a test's own, with a printer that can run out of paper and keeps what it prints."""

import getpass
import os
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path

from tests.servers import is_listening
from tests.skip import skip_or_fail
from tests.stack import free_port
from tests.waiting import wait_until

QUEUE_NAME = "Booth"

#: Programs of Debian's cups-daemon and cups-client.
CUPSD_PATH = Path("/usr/sbin/cupsd")
_SERVER_PROGRAMS = Path("/usr/lib/cups")

#: The printer, as CUPS's backends are: it keeps each document under its job's number, and notes the job's name. Without
#: paper it says so and waits.
_BACKEND = """#!/bin/sh
[ $# -gt 0 ] || exit 0
if [ -e "{folder}/no-paper" ]; then
  echo "STATE: +media-empty-error" >&2
  while [ -e "{folder}/no-paper" ]; do sleep 0.1; done
fi
echo "STATE: -media-empty-error" >&2
if [ -n "$6" ]; then cat "$6"; else cat; fi > "{folder}/$1"
echo "$3" >> "{folder}/names"
"""

_FILES_CONFIG = """
ServerRoot {folder}/config
ServerBin {folder}/programs
RequestRoot {folder}/spool
TempDir {folder}/spool/tmp
CacheDir {folder}/cache
StateDir {folder}/state
AccessLog /dev/null
ErrorLog {folder}/error_log
PageLog /dev/null
User {user}
Group {group}
SystemGroup root
"""

# Job files are written at once, so that a test that kills the server tests more than this delay.
_CONFIG = """
Listen 127.0.0.1:{port}
Browsing No
DirtyCleanInterval 0
LogLevel warn
MaxJobs 2000
<Location />
  Order allow,deny
  Allow all
</Location>
<Policy default>
  <Limit All>
    Order deny,allow
  </Limit>
</Policy>
"""

_PRINTERS = """
<DefaultPrinter {queue}>
PrinterId 1
UUID urn:uuid:00000000-0000-0000-0000-000000000001
Info {queue}
DeviceURI booth:/printer
State Idle
Type 4
Accepting Yes
Shared No
JobSheets none none
OpPolicy default
ErrorPolicy retry-job
</DefaultPrinter>
"""


def require_cups() -> None:
    """Skip the test if there is no CUPS; in CI, fail it."""
    if not CUPSD_PATH.exists() or not shutil.which("cupsdisable"):
        skip_or_fail("needs CUPS: apt install cups-daemon cups-client")


class PrintServer:
    """A CUPS with one queue. What it knows outlives `stop` and `start`."""

    def __init__(self) -> None:
        # Not pytest's folder: the server and its printer run as another user than root, and could not look into it.
        self._folder = Path(tempfile.mkdtemp(prefix="cups-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.chmod(0o755)
        self._paper_tray = self._folder / "printed"
        for name in ("config", "programs/backend", "spool/tmp", "cache", "state", "printed"):
            (self._folder / name).mkdir(parents=True)
        self._paper_tray.chmod(0o777)
        self.port = free_port()
        self.url = f"ipp://127.0.0.1:{self.port}/printers/{QUEUE_NAME}"
        for program in _SERVER_PROGRAMS.iterdir():
            if program.name != "backend":
                (self._folder / "programs" / program.name).symlink_to(program)
        backend = self._folder / "programs" / "backend" / "booth"
        backend.write_text(_BACKEND.format(folder=self._paper_tray))
        backend.chmod(0o755)
        user, group = ("lp", "lp") if os.getuid() == 0 else (getpass.getuser(), str(os.getgid()))
        files_config = _FILES_CONFIG.format(folder=self._folder, user=user, group=group)
        (self._folder / "config" / "cups-files.conf").write_text(files_config)
        (self._folder / "config" / "cupsd.conf").write_text(_CONFIG.format(port=self.port))
        (self._folder / "config" / "printers.conf").write_text(_PRINTERS.format(queue=QUEUE_NAME))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        config = self._folder / "config"
        command: list[str | Path] = [CUPSD_PATH, "-f", "-c", config / "cupsd.conf", "-s", config / "cups-files.conf"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(lambda: is_listening(self.port), "CUPS answers", explain=self.read_log)

    def stop(self) -> None:
        """Kill the server."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def read_log(self) -> str:
        """Return what the server has logged."""
        log = self._folder / "error_log"
        return log.read_text() if log.exists() else ""

    def pause(self) -> None:
        """Stop the printer, as an operator does; the queue takes sheets all the same."""
        self._run("cupsdisable")

    def resume(self) -> None:
        """Resume the printer."""
        self._run("cupsenable")

    def refuse(self) -> None:
        """Let the queue take no sheets."""
        self._run("cupsreject")

    def accept(self) -> None:
        """Let the queue take sheets again."""
        self._run("cupsaccept")

    def take_paper(self) -> None:
        """Take the paper out of the printer."""
        (self._paper_tray / "no-paper").touch()

    def add_paper(self) -> None:
        """Put paper into the printer."""
        (self._paper_tray / "no-paper").unlink(missing_ok=True)

    def cancel_all(self) -> None:
        """Cancel every job."""
        self._run("cancel", "-a")

    def forget_all(self) -> None:
        """Cancel every job, and forget those that are finished."""
        self._run("cancel", "-a", "-x")

    def empty_tray(self) -> None:
        """Take out what was printed."""
        for file in self._paper_tray.iterdir():
            file.unlink()

    def list_printed(self) -> list[str]:
        """Return the names of the jobs that came out, in their order."""
        names = self._paper_tray / "names"
        return names.read_text().splitlines() if names.exists() else []

    def read_documents(self) -> list[bytes]:
        """Return the documents that came out, in their order."""
        numbers = sorted(int(file.name) for file in self._paper_tray.iterdir() if file.name.isdecimal())
        return [(self._paper_tray / str(number)).read_bytes() for number in numbers]

    def _run(self, command: str, *options: str) -> None:
        path = shutil.which(command)
        assert path
        subprocess.run([path, "-h", f"127.0.0.1:{self.port}", *options, QUEUE_NAME], check=True)
