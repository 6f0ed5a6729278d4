"""Weights that are too large for the package: their URLs, and the folder that they are downloaded to."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from rich.progress import wrap_file

from shared.errors import ArtDreamError
from worker.networks.loaders.npm_package import REGISTRY_VARIABLE, NpmPackage, find_registry
from worker.networks.loaders.packaged_layers import PackagedLayers, open_draft

#: Seconds without an answer after which a host counts as unreachable: a firewall may drop packets without a word.
ANSWER_TIMEOUT_SECONDS = 30.0

#: Bytes that are read at a time, between two updates of the progress bar.
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class WeightsFile:
    """A published file of weights."""

    network: str
    url: str
    #: MD5 as hex digits, from the source of Keras Applications.
    md5: str
    #: Bytes.
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

    def is_published(self, content: bytes) -> bool:
        """Return whether a content is that of the published file."""
        return hashlib.md5(content, usedforsecurity=False).hexdigest() == self.md5

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
        if not self.is_published(content):
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
    layers=frozenset({*(f"mixed{number}" for number in range(6)), *(f"conv{number}" for number in range(1, 51))}),
    convolutions=50,
    package=NpmPackage(
        "nsfwjs", "4.4.0", "585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382", size=24_973_068
    ),
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
    with suppress(ArtDreamError):  # missing or damaged
        return weights.verify(folder)[0]
    path, layers = weights.path_in(folder), weights.first_layers
    try:
        with open_draft(path, weights.network) as file:
            file.write(_download(weights.url, weights.size, weights.is_published))
        return path
    except _DownloadFailed as failure:
        reason = f"The weights of {weights.network} could not be fetched from {weights.url} ({failure})"
    if layers is None:
        raise ArtDreamError(
            f"{reason}, and no package registry has them: connect this machine and try again, or put the file into "
            f"{path.parent} by hand."
        )
    on_fallback(f"{reason}: trying the layers up to {layers.last_layer} from the npm package {layers.package} instead.")
    with suppress(ArtDreamError):  # missing or damaged
        return layers.verify(folder)[0]
    url, archive, content = layers.package.url_in(find_registry()), path.with_name(layers.package.file_name), b""
    with suppress(OSError):
        content = archive.read_bytes()  # put there by hand
    try:
        if not layers.package.is_published(content):
            content = _download(url, layers.package.size, layers.package.is_published)
    except _DownloadFailed as failure:
        raise ArtDreamError(
            f"{reason}, nor their layers up to {layers.last_layer} from {url} ({failure}): connect this "
            f"machine, set {REGISTRY_VARIABLE} to an npm registry that it reaches, or put {path.name} or "
            f"{archive.name} into {path.parent} by hand and fetch again."
        ) from None
    layers.keep(content, folder)
    archive.unlink(missing_ok=True)
    return layers.path_in(folder)


class _DownloadFailed(Exception):
    """A file could not be downloaded; the text is the reason."""


def _download(url: str, size: int, is_published: Callable[[bytes], bool]) -> bytes:
    """Return the content of a published file at a URL; a progress bar is shown meanwhile.

    size: bytes of the file; a server that sends more is given up. is_published: whether a content is that of the file.
    Raises _DownloadFailed if the server does not send it.
    """
    received = bytearray()
    try:
        with (
            urlopen(url, timeout=ANSWER_TIMEOUT_SECONDS) as response,  # noqa: S310  ours, or of the configured registry
            wrap_file(response, size, description=f"Downloading {url.rpartition('/')[2]}") as body,
        ):
            while len(received) <= size and (block := body.read(BLOCK_BYTES)):
                received += block
    except HTTPError as error:
        error.close()
        raise _DownloadFailed(error.reason) from None
    except (OSError, HTTPException, ValueError) as error:  # ValueError: a registry's URL can be malformed
        raise _DownloadFailed(str(getattr(error, "reason", error))) from None
    if len(received) != size:
        raise _DownloadFailed(f"it sent {'more than' if len(received) > size else f'{len(received)} of'} {size} bytes")
    content = bytes(received)
    if not is_published(content):
        raise _DownloadFailed("it sent something else")
    return content
