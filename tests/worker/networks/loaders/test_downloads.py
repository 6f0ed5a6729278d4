"""Weights are downloaded once and verified; a failure raises an error of one sentence."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from tests.worker.networks.keras_models import describe_weights
from worker.networks import Networks
from worker.networks.loaders.downloads import WeightsFile

WEIGHTS_CONTENT = bytes(range(256)) * 400


class WeightServer:
    """An HTTP server of one folder that records the requested paths."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        requested_paths = self.requested_paths = []

        class Handler(SimpleHTTPRequestHandler):
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
    with pytest.raises(ArtDreamError, match=r"net\.h5 gave is not the published weights of vgg19"):
        Networks(tmp_path / "cache", published_weights={"vgg19": weights_file}).download_weights("vgg19")
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


def test_only_the_big_networks_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match=r"nothing to fetch for “vgg”\. Did you mean vgg19\?"):
        Networks(tmp_path).download_weights("vgg")
