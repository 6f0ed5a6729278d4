"""The limits of a container without an engine, where this machine lets one set them: read-only, no capabilities."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

#: Makes all but some folders read-only for one process and its children, and takes every right of root from them.
_CONFINE_SCRIPT = """
set -e
mount --make-rprivate /
IFS=:
for folder in $WRITABLE; do mount --bind "$folder" "$folder"; done
awk '{print $2}' /proc/self/mounts | while read -r mount; do
  case ":$WRITABLE:" in *":$mount:"*) continue ;; esac
  case "$mount" in /proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$mount" ;; esac
done
unset WRITABLE
exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def confine(command: list[str], writable: list[Path]) -> list[str]:
    """Return a command that runs another one as in a container which may write into some folders only."""
    folders = ":".join(map(str, writable))
    return [
        "/usr/bin/unshare",
        "--mount",
        "/usr/bin/env",
        f"WRITABLE={folders}",
        "/bin/sh",
        "-c",
        _CONFINE_SCRIPT,
        "sh",
        *command,
    ]


@cache
def can_confine() -> bool:
    """Tell whether this machine lets one do that: root may, on most."""
    if os.getuid() != 0 or not Path("/usr/bin/unshare").exists():
        return False
    probe = "import artdream, os, sys; os.listdir('.'); open('/tmp/written', 'w')"
    ran = subprocess.run(confine([sys.executable, "-c", probe], []), capture_output=True, text=True, check=False)
    return "Read-only file system" in ran.stderr
