"""Fixtures of the API's tests: a display that serves the API, keys, and requests as programs send them."""

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shared.api.keys import ApiKeys, Scope
from shared.api.resources import API_PATH
from shared.broker.client import connect
from shared.settings import Settings
from shared.storage.store import Store
from tests.display.conftest import DisplayProcess, announce_producer, running_display
from tests.display.fake_pipeline import FakePipeline
from tests.pictures import encode_jpeg, make_picture
from tests.servers import Valkey
from tests.stack import free_port

PHOTO = encode_jpeg(make_picture(42, (64, 48)))

BOUNDARY = "8d1f6b0e"


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON, and of a problem if the request was not served."""
        kind = "problem+json" if self.status >= 400 else "json"
        assert self.headers["Content-Type"] == f"application/{kind}", self.body
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The name of the problem, which must be one."""
        document = self.json
        assert document["status"] == self.status
        return str(document["type"]).removeprefix("urn:artdream:problem:")


@dataclass(frozen=True)
class Program:
    """A program that uses the API with a key."""

    port: int
    key: str

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        all_headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path if path.startswith("/t/") else f"{API_PATH}{path}", body, all_headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer

    def submit(self, photo: bytes = PHOTO, client_id: str = "", **fields: object) -> Answer:
        """Submit a photo in a form, by default with the recipe “curls”."""
        body = encode_form({"recipe": "curls", **fields}, photo)
        method, path = ("PUT", f"/jobs/{client_id}") if client_id else ("POST", "/jobs")
        return self.call(method, path, body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}")

    def submit_json(self, **request: object) -> Answer:
        return self.call("POST", "/jobs", json.dumps(request).encode(), Content_Type="application/json")


def encode_form(fields: dict[str, object], photo: bytes | None) -> bytes:
    """Return the body of a form. photo: None for none."""
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{head}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    if photo is not None:
        parts.insert(len(parts) // 2, f'{head}"photo"; filename="a.jpg"\r\n\r\n'.encode() + photo + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@pytest.fixture(scope="module")
def api_settings(_valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    with connect(_valkey_server.url) as client:
        client.flushall()
    settings = Settings(
        data=tmp_path_factory.mktemp("api") / "data",
        broker_url=_valkey_server.url,
        port=free_port(),
        api=True,
        max_file_mb=1,
        _env_file=None,
    )
    announce_producer(settings)
    return settings


@pytest.fixture(scope="module")
def api_display(api_settings: Settings) -> Iterator[DisplayProcess]:
    """A display for all tests of a module, and a broker that keeps what they did."""
    with running_display(api_settings) as display:
        yield display


@pytest.fixture
def pipeline(api_settings: Settings, api_display: DisplayProcess) -> Iterator[FakePipeline]:
    with connect(api_settings.broker) as client:
        yield FakePipeline(client, Store(api_settings.store))


#: Creates a program with a key of its own: scopes, and photos in an hour.
MakeProgram = Callable[..., Program]


@pytest.fixture
def make_program(api_settings: Settings, api_display: DisplayProcess) -> Iterator[MakeProgram]:
    with connect(api_settings.broker) as client:
        keys = ApiKeys(client, Store(api_settings.store))

        def make(*scopes: Scope, quota: int = 1000) -> Program:
            chosen = scopes or (Scope.READ, Scope.SUBMIT)
            _, text = keys.create(f"program {len(keys.list_keys())}", chosen, quota)
            return Program(api_settings.port, text)

        yield make


@pytest.fixture
def program(make_program: MakeProgram) -> Program:
    """A program that may submit and read."""
    return make_program()


def list_uploads(settings: Settings) -> list[Path]:
    """Return the files that wait for the producer."""
    return list((settings.data / "guests").glob("*/*"))
