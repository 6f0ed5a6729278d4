"""Weights that are too large for the package: their URLs, and the folder that they are downloaded to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError
from worker.quiet_import import quiet_import


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


def download_weights(weights: WeightsFile, folder: Path) -> Path:
    """Download a weights file, with a progress bar, and return its path; do nothing if it is already there.

    Raises ArtDreamError if the file cannot be downloaded or written, or is not the published file.
    """
    with quiet_import():
        import keras

    path = weights.path_in(folder)
    manual_hint = f"connect this machine, or put the file into {path.parent} by hand"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.get_file(path.name, weights.url, file_hash=weights.md5, cache_subdir=str(path.parent.absolute()))
    except OSError as error:
        raise ArtDreamError(f"The weights of {weights.network} could not be kept as {path}: {error}.") from error
    except ValueError:  # Keras raises it if the MD5 sum differs
        path.unlink(missing_ok=True)
        raise ArtDreamError(
            f"What {weights.url} gave is not the published weights of {weights.network}: try again, or {manual_hint}."
        ) from None
    except Exception as error:  # Keras raises a bare Exception if the server does not answer
        reason = str(error).rpartition(" -- ")[2]
        raise ArtDreamError(
            f"The weights of {weights.network} could not be fetched from {weights.url} ({reason}): {manual_hint}."
        ) from None
    return path
