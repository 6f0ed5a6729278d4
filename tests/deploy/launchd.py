"""Launchd's part in running an agent: starts its program as the property list says, and ends it as launchd would."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil

Plist = dict[str, Any]

#: The used keys of launchd.plist(5), and the type of each.
KEY_TYPES: dict[str, type] = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "RunAtLoad": bool,
    "KeepAlive": bool,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "StartInterval": int,
}

PROCESS_TYPES = {"Background", "Standard", "Adaptive", "Interactive"}


class Agent:
    """The running program of an agent, in the environment that launchd gives to a user's: no shell's, no language's."""

    def __init__(self, plist: Plist, home: Path) -> None:
        """Start the program. Paths of the property list must be absolute: launchd expands nothing in them."""
        self._plist = plist
        environment = {"HOME": str(home), "USER": "dreamer", "LOGNAME": "dreamer", "SHELL": "/bin/zsh"}
        with open(plist["StandardOutPath"], "ab") as out, open(plist["StandardErrorPath"], "ab") as err:
            self.process = psutil.Popen(
                plist["ProgramArguments"],
                cwd=plist["WorkingDirectory"],
                env={**environment, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "TMPDIR": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def stop(self) -> int:
        """Ask the program to end, as `launchctl bootout` does; return its exit code.

        Raises TimeoutExpired where launchd would kill it, and with it whatever it had left to do.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            code: int = self.process.wait(self._plist["ExitTimeOut"])
        finally:
            self.kill()
        return code

    def kill(self) -> None:
        """Kill the program and everything that it started, as launchd does after `ExitTimeOut`."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
