"""The reverse proxies of `deploy/proxy`, real nginx and real Caddy, before a display of a test."""

import http.client
import os
import shutil
import ssl
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from shared.settings import Settings
from tests.redis_server import CertificateAuthority
from tests.servers import is_listening
from tests.skip import skip_or_fail
from tests.stack import free_port
from tests.waiting import wait_until

PROXY_FOLDER = Path(__file__).parents[2] / "deploy" / "proxy"


class ReverseProxy(ABC):
    """A proxy with TLS on a port of 127.0.0.1, which runs while its context lasts."""

    #: Name of the program and of its Debian package.
    program: str
    #: Whether its configuration limits the size of bodies.
    limits_bodies: bool

    def __init__(self, settings: Settings, folder: Path) -> None:
        """settings: those of the display. folder: an empty one, for its configuration and data."""
        path = shutil.which(self.program) or shutil.which(self.program, path="/usr/sbin")
        if path is None:
            skip_or_fail(f"needs {self.program}: apt install {self.program}")
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self._path, self._folder, self._display = path, folder, f"127.0.0.1:{settings.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def prepare(self) -> tuple[list[str], dict[str, str]]:
        """Write the configuration; return the arguments and environment variables of the program."""

    def __enter__(self) -> Self:
        arguments, environment = self.prepare()
        log_path = self._folder / "log"
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [self._path, *arguments], env=os.environ | environment, stdout=log, stderr=log
            )
        wait_until(lambda: is_listening(self.port), "the proxy answers", explain=log_path.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait()

    @contextmanager
    def open_response(
        self, path: str, *, method: str = "GET", address: str = "127.0.0.2", **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request over TLS from an address of this machine, as a guest with that address does."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=60, source_address=(address, 0), context=context
        )
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            yield connection.getresponse()
        finally:
            connection.close()

    def _fill_in(self, name: str, replacements: dict[str, str]) -> Path:
        """Write a file of `deploy/proxy` with the addresses and files of this test; each has to be in it."""
        text = (PROXY_FOLDER / name).read_text()
        for old, new in replacements.items():
            assert old in text, f"{name} has no {old}"
            text = text.replace(old, new)
        path = self._folder / name
        path.write_text(text)
        return path


class Nginx(ReverseProxy):
    """nginx, with a certificate of its own and a limit of 1 MB instead of 300."""

    program = "nginx"
    limits_bodies = True

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        certificate, key = CertificateAuthority(self._folder, "authority").issue_certificate("localhost")
        site = self._fill_in(
            "nginx.conf",
            {
                "listen 80;": f"listen 127.0.0.1:{free_port()};",
                "listen 443 ": f"listen 127.0.0.1:{self.port} ",
                "dream.example.org;": "localhost;",
                "/etc/letsencrypt/live/dream.example.org/fullchain.pem": str(certificate),
                "/etc/letsencrypt/live/dream.example.org/privkey.pem": str(key),
                "127.0.0.1:8501": self._display,
                "300m": "1m",
            },
        )
        folders = "".join(
            f"{kind}_temp_path {self._folder}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        main = self._folder / "main.conf"
        main.write_text(
            f"daemon off; user root; worker_processes 1; pid {self._folder}/pid; error_log stderr;"
            f" events {{}} http {{ access_log off; {folders} include {site}; }}"
        )
        return ["-c", str(main), "-p", str(self._folder)], {}


class Caddy(ReverseProxy):
    """Caddy, which makes the certificate by itself."""

    program = "caddy"
    limits_bodies = False

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        main = self._folder / "main"
        main.write_text(
            f"{{\nadmin off\nskip_install_trust\nhttp_port {free_port()}\nhttps_port {self.port}\n}}\n"
            f"import {PROXY_FOLDER / 'Caddyfile'}\n"
        )
        environment = {"ARTDREAM_SITE": "localhost", "ARTDREAM_DISPLAY": self._display}
        folders = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(self._folder))
        return ["run", "--config", str(main), "--adapter", "caddyfile"], environment | folders
