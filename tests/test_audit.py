"""`make check` looks up known vulnerabilities; if it cannot, it reports that and does not fail."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import pytest

from tests.stack import free_port

ROOT = Path(__file__).parents[1]


def run_audit(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    uv = which("uv") or str(ROOT / ".tools/bin/uv")
    command = [sys.executable, str(ROOT / ".ci/audit.py"), uv, *options]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280)


class FakeVulnerabilityService(BaseHTTPRequestHandler):
    """A service of known vulnerabilities (osv.dev's API) that reports one, in Pillow."""

    def do_POST(self) -> None:
        package = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        affected = [
            {
                "package": {"name": package, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
            }
        ]
        vulnerabilities = [
            {
                "id": "TEST-2026-1",
                "details": "…",
                "summary": "…",
                "aliases": [],
                "affected": affected,
                "published": "2026-01-01T00:00:00Z",
                "modified": "2026-01-01T00:00:00Z",
            }
        ]
        body = json.dumps({"vulns": vulnerabilities} if package == "pillow" and self.server.bad else {}).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeVulnerabilityService) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_without_internet_the_audit_says_so_in_one_line_and_fails_nothing() -> None:
    """Fails if every non-zero exit of pip-audit counts as a finding."""
    process = run_audit(HTTPS_PROXY=f"http://127.0.0.1:{free_port()}", NO_PROXY="")
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith("audit: not run, the service of known vulnerabilities cannot be reached (")
    assert process.stdout.count("\n") == 1
    assert process.stderr == ""


@pytest.mark.parametrize("bad", [True, False])
def test_a_known_vulnerability_fails_the_check(service: ThreadingHTTPServer, bad: bool) -> None:
    """Fails if the audit returns 0 for a finding."""
    service.bad = bad  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{service.server_port}"
    process = run_audit("--vulnerability-service", "osv", "--osv-url", url, NO_PROXY="127.0.0.1")
    assert process.stderr == ""
    if bad:
        assert process.returncode == 1
        assert "audit: pillow " in process.stdout
        assert "has TEST-2026-1, mended in 999" in process.stdout
    else:
        assert process.returncode == 0
        assert process.stdout.startswith("audit: no known vulnerability in ")
