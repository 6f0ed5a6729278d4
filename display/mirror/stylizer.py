"""Stylizer: loads the network that `shared/stylizer.py` describes, and paints pictures with OpenCV.

Importing this module loads no OpenCV.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from shared.errors import ArtDreamError
from shared.settings import ENV_PREFIX, Settings
from shared.stylizer import GRAPH_FILE, METADATA_FILE, PICTURE, SIDE_MULTIPLE, STYLE, StylizerMetadata

#: Folder of the bundled network.
NETWORK_FOLDER = Path(__file__).with_name("network")

#: Threads that OpenCV paints with. On a larger machine, dreaming keeps the other cores.
THREADS = 2

#: (height, width, 3) uint8 sRGB.
Pixels = NDArray[np.uint8]


def get_network_folder(settings: Settings) -> Path:
    """Return the folder of the network that the settings name, by default the bundled one."""
    return settings.mirror_network.expanduser().absolute() if settings.mirror_network else NETWORK_FOLDER


def read_metadata(folder: Path) -> StylizerMetadata:
    """Return the description of the network in a folder, once its graph is known to be the one described.

    Raises ArtDreamError if a file is missing or damaged.
    """
    return _read_network(folder)[0]


class Stylizer:
    """The network of a folder, loaded. Not thread-safe: a network of OpenCV's keeps its inputs."""

    def __init__(self, folder: Path = NETWORK_FOLDER) -> None:
        """Raises ArtDreamError if a file is missing or damaged, or if OpenCV is not installed or cannot read it."""
        self.metadata, graph = _read_network(folder)
        try:
            import cv2
        except ImportError as error:
            raise ArtDreamError(
                f"The mirror needs OpenCV, which cannot be loaded ({error}): install artdream with the extra “mirror”."
            ) from error
        cv2.setNumThreads(THREADS)
        try:
            # OpenCV 5's other engine takes a fifth more processor time for this network; OpenCV 4 has no other.
            engine = {"engine": cv2.dnn.ENGINE_CLASSIC} if hasattr(cv2.dnn, "ENGINE_CLASSIC") else {}
            self._network = cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8), **engine)
        except cv2.error as error:
            raise ArtDreamError(
                f"OpenCV {cv2.__version__} cannot read {folder / GRAPH_FILE}: {error.err or error}."
            ) from error

    def paint(self, pixels: Pixels, shares: Sequence[float]) -> Pixels:
        """Return a picture as it is painted, scaled to the network's side.

        shares: of each style in the painting, in the order of the metadata; their sum is 1.
        """
        fitted = fit(pixels, self.metadata.side)
        picture = fitted.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(127.5) - np.float32(1)
        self._network.setInput(np.ascontiguousarray(picture), PICTURE)
        self._network.setInput(np.asarray([shares], np.float32), STYLE)
        painting = (np.asarray(self._network.forward())[0] + np.float32(1)) * np.float32(127.5)
        return np.ascontiguousarray(np.clip(np.rint(painting), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def fit(pixels: Pixels, side: int) -> Pixels:
    """Return a picture whose long side has about `side` pixels, and whose sides are multiples of SIDE_MULTIPLE."""
    import cv2

    height, width = pixels.shape[:2]
    scale = side / max(height, width) / SIDE_MULTIPLE
    size = tuple(SIDE_MULTIPLE * max(1, round(length * scale)) for length in (width, height))
    if size == (width, height):
        return pixels
    interpolation = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)


def _read_network(folder: Path) -> tuple[StylizerMetadata, bytes]:
    """Return the description and the graph of a network. Raises ArtDreamError if a file is missing or damaged."""
    remedy = f"install artdream again, or name another folder with {ENV_PREFIX}MIRROR_NETWORK"
    try:
        metadata = StylizerMetadata.model_validate_json((folder / METADATA_FILE).read_bytes())
        graph = (folder / GRAPH_FILE).read_bytes()
    except OSError as error:
        raise ArtDreamError(
            f"The mirror's network {error.filename} cannot be read ({error.strerror}): {remedy}."
        ) from None
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ArtDreamError(f"The mirror's network {folder / METADATA_FILE} is damaged ({reason}): {remedy}.") from None
    if hashlib.sha256(graph).hexdigest() != metadata.sha256:
        raise ArtDreamError(
            f"The mirror's network {folder / GRAPH_FILE} is not the one that {METADATA_FILE} describes: {remedy}."
        )
    return metadata, graph
