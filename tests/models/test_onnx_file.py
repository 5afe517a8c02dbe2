"""What an ONNX file says of itself, read without onnx."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from render.errors import ModelError
from render.models.onnx_file import input_dtype, num_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A graph with weights packed as numpy writes them and as a list of numbers, beside whole numbers."""
    half, whole = TensorProto.FLOAT16, TensorProto.INT64
    weights = [
        numpy_helper.from_array(np.zeros((2, 300), np.float16), "a"),
        helper.make_tensor("b", TensorProto.FLOAT, [7], [0.0] * 7),
        numpy_helper.from_array(np.zeros(1000, np.int64), "c"),
    ]
    inputs = [helper.make_tensor_value_info("sample", half, ["n", 300]), helper.make_tensor_value_info("t", whole, [])]
    outputs = [helper.make_tensor_value_info("y", half, ["n", 300])]
    graph = helper.make_graph([helper.make_node("Identity", ["sample"], ["y"])], "g", inputs, outputs, weights)
    onnx.save(helper.make_model(graph, doc_string="words before the graph"), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_types_of_inputs(path: Path) -> None:
    assert [input_dtype(path, name) for name in ("sample", "t", "missing")] == ["fp16", None, None]


def test_weights_are_counted(path: Path) -> None:
    assert num_weights(path) == 607


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x3a\x05ab", b"\x08\x01", b"\xff" * 40], ids=repr)
def test_what_is_no_graph_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx: "):
        input_dtype(path, "sample")
    with pytest.raises(ModelError, match=r"model\.onnx: "):
        num_weights(path)
