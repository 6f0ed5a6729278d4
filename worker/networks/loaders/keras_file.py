"""Load a network from a `.keras` file, trained by this project or elsewhere."""

import hashlib
import tempfile
from pathlib import Path

import keras
from keras import layers

from shared.errors import ArtDreamError
from worker.networks.loaders.keras_file_validation import limit_weight_count, validate_keras_file
from worker.networks.metadata import NetworkMetadata
from worker.networks.network import Network
from worker.networks.transform.batch_norm_folding import INPUT_RANGES, fold_batch_norms
from worker.networks.transform.class_map import CLASS_MAP, LOGITS, add_class_map
from worker.networks.transform.flatten import flatten_model
from worker.networks.transform.frozen_convolution import FrozenConvolution


def load_keras_file(name: str, content: bytes, metadata: NetworkMetadata, precision: str) -> Network:
    """Build a network from the bytes of a `.keras` file and its metadata.

    name: the name of the network. precision: compute type, `float32` or `bfloat16`. Layers keep their names in the
    file, from the first convolution on; if the model ends in global average pooling and one dense layer, it also has
    `classmap`. Raises ArtDreamError if the file is damaged, holds code or is not a network that can dream, or if the
    metadata has more or fewer classes than the model.
    """
    flat = flatten_model(read_keras_model(name, content))
    if len(flat.inputs[0].shape) != 4 or flat.inputs[0].shape[-1] != 3:
        raise ArtDreamError(
            f"The network {name} takes no pictures of three colours: its input is {flat.inputs[0].shape}."
        )
    scale, offset = INPUT_RANGES[metadata.range]
    try:
        frozen = fold_batch_norms(add_class_map(flat), precision, scale=scale, offset=offset)
    except (ValueError, TypeError) as error:
        raise ArtDreamError(
            f"The network {name} cannot see pictures of any size: {str(error).partition(chr(10))[0]}"
        ) from error
    names = _list_feature_maps(frozen)
    digest = hashlib.sha256(content).hexdigest()
    if CLASS_MAP not in names:
        return Network(name, digest, frozen, names, precision, sides=metadata.sides)
    class_count = int(frozen.get_layer(CLASS_MAP).output.shape[-1])
    classes = metadata.classes or tuple(map(str, range(class_count)))
    if len(classes) != class_count:
        raise ArtDreamError(f"The network {name} tells {class_count} classes apart, but its card names {len(classes)}.")
    return Network(name, digest, frozen, names, precision, classes, CLASS_MAP, metadata.sides)


def read_keras_model(name: str, content: bytes) -> keras.Model:
    """Return the model in a `.keras` file as it was saved. Raises ArtDreamError if the file is damaged or has code."""
    weight_count = validate_keras_file(name, content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"  # Keras reads by path
        path.write_bytes(content)
        try:
            with limit_weight_count(weight_count):
                return keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # a hostile or damaged file can raise nearly anything
            unsafe = "safe_mode" in str(error) or "unsafe" in str(error).lower()
            reason = "it holds code of its own" if unsafe else str(error).partition("\n")[0].rstrip(".")
            raise ArtDreamError(f"The network {name} was refused: {reason}.") from error


def _list_feature_maps(frozen: keras.Model) -> tuple[str, ...]:
    """Return the names of the layers that output feature maps, from the first convolution on."""
    convolution_seen = False
    names = []
    for layer in frozen.layers:
        convolution_seen = convolution_seen or isinstance(layer, FrozenConvolution)
        if (
            convolution_seen
            and layer.name != LOGITS
            and not isinstance(layer, layers.InputLayer)
            and len(layer.output.shape) == 4
        ):
            names.append(layer.name)
    return tuple(names)
