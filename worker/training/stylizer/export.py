"""Export a trained stylizer: its graph as ONNX, its description, and its model card."""

import hashlib
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shared.stylizer import CARD_FILE, GRAPH_FILE, METADATA_FILE, PAINTING, PICTURE, STYLE, StylizerMetadata
from worker.training.stylizer.config import StylizerConfig
from worker.training.stylizer.network import CONVOLUTIONS, Convolution

#: Versions of ONNX's file format and operators: the latest that OpenCV 4.13 reads in full.
IR_VERSION, OPSET_VERSION = 8, 13

#: Pixels: the long side of the pictures for which a stylizer is meant, as a multiple of the side of its training crops,
#: in which strokes are as large as in these.
SIDE_FACTOR = 2


def export_stylizer(
    stylizer: keras.Model, config: StylizerConfig, *, command: str, license_text: str
) -> dict[str, bytes]:
    """Return the contents of a stylizer's files, by name. command, license_text: recorded in its description."""
    graph = to_onnx(stylizer)
    metadata = StylizerMetadata(
        styles=config.painters,
        side=SIDE_FACTOR * config.side,
        sha256=hashlib.sha256(graph).hexdigest(),
        judge=config.judge,
        steps=config.steps,
        command=command,
        license=license_text,
    )
    return {
        GRAPH_FILE: graph,
        METADATA_FILE: metadata.model_dump_json(indent=1).encode() + b"\n",
        CARD_FILE: render_card(metadata, len(graph)).encode(),
    }


def to_onnx(stylizer: keras.Model) -> bytes:
    """Return a stylizer as an ONNX graph, as `shared.stylizer` describes it."""
    graph = _GraphBuilder(stylizer)
    before, values = PICTURE, PICTURE
    for convolution in CONVOLUTIONS:
        before, values = values, graph.add_convolution(convolution, before, values)
    graph.add("Identity", values, output=PAINTING)
    return graph.serialize()


class _GraphBuilder:
    """Builds the graph of a stylizer, node by node."""

    def __init__(self, stylizer: keras.Model) -> None:
        self._stylizer = stylizer
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add_convolution(self, convolution: Convolution, before: str, values: str) -> str:
        """Add the nodes of a convolution to those before, and return the name of its output."""
        name, margin = convolution.name, convolution.kernel // 2
        if convolution.is_upsampled:
            factors = self._add_constant(f"{name}_factors", np.array([1, 1, 2, 2], np.float32))
            values = self.add("Resize", values, "", factors, mode="linear", coordinate_transformation_mode="half_pixel")
        margins = self._add_constant(f"{name}_margins", np.array([0, 0, margin, margin] * 2, np.int64))
        values = self.add("Pad", values, margins, mode="reflect")
        kernel = self._get_weights(name).transpose(3, 2, 0, 1)  # Keras: height, width, channels in, channels out
        strides = [convolution.stride] * 2
        values = self.add("Conv", values, self._add_constant(f"{name}_kernel", kernel), strides=strides)
        values = self.add("Mul", values, self._add_style(f"{name}_scale"))
        values = self.add("Add", values, self._add_style(f"{name}_shift"))
        if convolution.is_residual:
            values = self.add("Add", before, values)
        operators = {"relu": "Relu", "tanh": "Tanh"}
        return self.add(operators[convolution.activation], values) if convolution.activation else values

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        output = output or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def serialize(self) -> bytes:
        """Return the graph as a file. Raises onnx.checker.ValidationError if it is invalid."""
        shape: list[str | int | None] = [1, 3, "height", "width"]
        style_count = self._stylizer.input[STYLE].shape[-1]
        graph = helper.make_graph(
            self._nodes,
            self._stylizer.name,
            [
                helper.make_tensor_value_info(PICTURE, TensorProto.FLOAT, shape),
                helper.make_tensor_value_info(STYLE, TensorProto.FLOAT, [1, style_count]),
            ],
            [helper.make_tensor_value_info(PAINTING, TensorProto.FLOAT, shape)],
            self._constants,
        )
        model = helper.make_model(
            graph,
            producer_name="artdream",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET_VERSION)],
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    def _add_style(self, name: str) -> str:
        """Add the scale or shift of each channel, for the shares of the styles: (1, channels, 1, 1)."""
        weights = self._get_weights(name)
        mixed = self.add("MatMul", STYLE, self._add_constant(f"{name}_weights", weights))
        shape = self._add_constant(f"{name}_shape", np.array([1, weights.shape[1], 1, 1], np.int64))
        return self.add("Reshape", mixed, shape)

    def _add_constant(self, name: str, values: NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _get_weights(self, layer: str) -> NDArray[np.float32]:
        (weights,) = self._stylizer.get_layer(layer).get_weights()
        return np.asarray(weights, np.float32)


def render_card(metadata: StylizerMetadata, size: int) -> str:
    """Return the model card as Markdown. size: of the graph's file, in bytes."""
    styles = (
        ", ".join(metadata.styles[:-1]) + f" and {metadata.styles[-1]}" if metadata.styles[1:] else metadata.styles[0]
    )
    lines = [
        "# Stylizer",
        "",
        f"Paints a picture in one pass in the style of {styles}, or in a blend of styles. The mirror runs it.",
        "",
        "| | |",
        "|---|---|",
        f"| file | `{GRAPH_FILE}`, ONNX, {size / 1e6:.1f} MB, SHA-256 `{metadata.sha256}` |",
        f"| made for | pictures with a long side of {metadata.side} px |",
        f"| judge | `{metadata.judge}`: what it takes for a painter's style, in {metadata.steps} steps of training |",
        f"| license | {metadata.license or 'not stated'} |",
        "",
        "Made by",
        "",
        f"    {metadata.command}",
        "",
        "It learned to satisfy the objectives of the painters' recipes, for a work of each painter, of which it knows",
        "averages from which the work cannot be recovered. It neither detects nor recognizes people.",
    ]
    return "\n".join(lines) + "\n"
