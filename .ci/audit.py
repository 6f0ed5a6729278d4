"""Look for known vulnerabilities in everything that uv.lock installs: `python .ci/audit.py UV [options of pip-audit]`.

Exits with 1 if there is one. If the service cannot be reached, it says so in one line and exits with 0, because the
other checks count without internet, too.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: What pip-audit ends with where the service cannot be reached.
_NETWORK = ("requests.exceptions", "urllib3.exceptions", "ConnectionError", "ServiceError", "timed out")


def main(uv: str, *options: str) -> int:
    """Audit, tell what was found, and return the exit code."""
    locked = ["export", "--quiet", "--locked", "--all-extras", "--no-emit-project", "--format", "requirements-txt"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        subprocess.run([uv, *locked, "--output-file", file], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        audit = [Path(sys.executable).with_name("pip-audit"), "--requirement", file, "--disable-pip", "--no-deps"]
        completed = subprocess.run(  # noqa: S603
            [*audit, "--format", "json", "--progress-spinner", "off", "--timeout", "10", *options],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ,
        )
    try:
        return _report_findings(json.loads(completed.stdout)["dependencies"])
    except ValueError:
        last = completed.stderr.strip().rpartition("\n")[2]
        if not any(sign in completed.stderr for sign in _NETWORK):
            sys.stderr.write(completed.stderr)
            return 1
        return _print_line(f"audit: not run, the service of known vulnerabilities cannot be reached ({last[:120]}…)")


def _report_findings(packages: "list[dict[str, object]]") -> int:
    unknown = [package for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):
        return _print_line(
            f"audit: not run, the package index that is used here knows nothing of {len(unknown)} packages"
        )
    code = 0
    for package in packages:
        for found in package.get("vulns", []):  # type: ignore[attr-defined]
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            code = 1
            _print_line(f"audit: {package['name']} {package['version']} has {found['id']}, mended in {mended}")
    note = f", {len(unknown)} unknown to the service" if unknown else ""
    if not code:
        _print_line(f"audit: no known vulnerability in {len(packages) - len(unknown)} packages{note}")
    return code


def _print_line(line: str) -> int:
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
