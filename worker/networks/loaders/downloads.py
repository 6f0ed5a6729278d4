"""Weights that are too large to install: where they come from, and the folder that they are fetched into."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError
from worker.quiet_import import quiet_import


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that somebody publishes."""

    network: str
    url: str
    #: md5 as hex digits, as Keras's own source gives it for these files.
    md5: str
    #: Bytes, about.
    size: int
    licence: str

    @property
    def file_name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]

    def path_in(self, folder: Path) -> Path:
        """Where the file lies once it is fetched."""
        return folder.expanduser() / self.file_name

    def verify(self, folder: Path) -> tuple[Path, str]:
        """Return the file's path and its sha256. Raises ArtDreamError where it is missing or not the published one."""
        path = self.path_in(folder)
        again = f"run `artdream networks fetch {self.network}`"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtDreamError(f"The weights of {self.network} are not here (expected as {path}): {again}.") from None
        except OSError as error:
            raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): {again}.") from error
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != self.md5:
            raise ArtDreamError(f"The weights {path} are not those of {self.network}: delete the file and {again}.")
        return path, hashlib.sha256(content).hexdigest()


# Addresses and sums: keras.applications. VGG-19 without its three dense layers, which are 86 % of its weights.
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
    """Fetch a file of weights, showing how far it is, and return its path; do nothing where it is already there.

    Raises ArtDreamError where it cannot be fetched or kept, or is not the file that was published.
    """
    with quiet_import():
        import keras

    path = weights.path_in(folder)
    by_hand = f"connect this machine, or put the file into {path.parent} by hand"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.get_file(path.name, weights.url, file_hash=weights.md5, cache_subdir=str(path.parent.absolute()))
    except OSError as error:
        raise ArtDreamError(f"The weights of {weights.network} could not be kept as {path}: {error}.") from error
    except ValueError:  # Keras's word for another sum than expected
        path.unlink(missing_ok=True)
        raise ArtDreamError(
            f"What {weights.url} gave is not the published weights of {weights.network}: try again, or {by_hand}."
        ) from None
    except Exception as error:  # Keras raises a bare Exception where an address does not answer
        reason = str(error).rpartition(" -- ")[2]
        raise ArtDreamError(
            f"The weights of {weights.network} could not be fetched from {weights.url} ({reason}): {by_hand}."
        ) from None
    return path
