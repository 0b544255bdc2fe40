"""Half the bytes at rest, and arithmetic in float16."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from stillhouse.compression.half import compute_in_float16, store_in_half
from tests.compression import graphs


@pytest.mark.parametrize(("kind", "number"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_stored_weights_answer_as_the_rounded_ones(kind, number):
    model, rounded = graphs.reader(), graphs.reader()
    for tensor in rounded.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.size >= 256:
            whole = values.astype(number).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(whole, tensor.name))
    store_in_half(model, (), kind)
    onnx.checker.check_model(model)
    assert np.array_equal(graphs.answers(model, graphs.ids()), graphs.answers(rounded, graphs.ids()))
    assert model.ByteSize() < 0.55 * rounded.ByteSize()


def test_small_weights_and_those_of_kept_nodes_stay():
    model = graphs.reader()
    store_in_half(model, {"up"}, "float16")
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["up"] == kinds["bias"] == TensorProto.FLOAT
    assert kinds["table_half"] == kinds["down_half"] == TensorProto.FLOAT16


def test_numbers_too_large_for_float16_stay():
    model = graphs.reader()
    values = graphs.random(2 * graphs.WIDTH, graphs.WIDTH)
    values[0, 0] = 1e5
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(values, "down"))
    store_in_half(model, (), "float16")
    assert "down" in {tensor.name for tensor in model.graph.initializer}


def test_a_graph_that_computes_in_float16_takes_and_gives_what_it_did():
    model = graphs.reader()
    before, path = graphs.answers(model, graphs.ids()), list(sys.path)
    half = compute_in_float16(model, ())
    after = graphs.answers(half, graphs.ids())
    assert after.dtype == np.float32
    assert 0 < graphs.moved(before, after) < 5e-3
    assert sys.path == path
    assert any(node.op_type == "Cast" for node in half.graph.node)
