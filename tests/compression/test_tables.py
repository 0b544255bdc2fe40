"""Tables as integers: close to what they were, a quarter or an eighth of the bytes, and shared with their head."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from stillhouse.compression import tables
from tests.compression import graphs


def sizes(model) -> dict[int, int]:
    """How many numbers the weights have, by type."""
    found: dict[int, int] = {}
    for tensor in model.graph.initializer:
        found[tensor.data_type] = found.get(tensor.data_type, 0) + int(np.prod(tensor.dims))
    return found


def test_rows_of_eight_bits_are_within_half_a_step_each():
    model = graphs.reader()
    table = graphs.random(graphs.VOCABULARY, graphs.WIDTH)
    tables.row_tables(model)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info("vectors"))
    ids = graphs.ids()["input_ids"]
    session = graphs.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(["vectors"], {"input_ids": ids})[0]
    step = np.abs(table).max(1)[ids] / 127
    assert (np.abs(found - table[ids]).max(-1) <= step / 2 + 1e-6).all()
    assert sizes(model)[TensorProto.INT8] == table.size


def test_a_row_of_zeros_stays_zeros():
    model = graphs.reader()
    padded = graphs.random(graphs.VOCABULARY, graphs.WIDTH)
    padded[0] = 0
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(padded, "table"))
    before = graphs.answers(model, {"input_ids": np.zeros((1, 3), dtype=np.int64)})
    tables.row_tables(model)
    assert np.allclose(graphs.answers(model, {"input_ids": np.zeros((1, 3), dtype=np.int64)}), before)


def test_a_table_and_its_head_are_written_once():
    model = graphs.reader("tied")
    before = graphs.answers(model, graphs.ids())
    tables.tied_tables(model)
    onnx.checker.check_model(model)
    after = graphs.answers(model, graphs.ids())
    assert graphs.moved(before, after) < 0.02
    assert (before.argmax(-1) == after.argmax(-1)).mean() > 0.98
    assert sizes(model)[TensorProto.INT8] == graphs.VOCABULARY * graphs.WIDTH


@pytest.mark.parametrize("node", ["look", "head"])
def test_nodes_that_are_kept_keep_their_table(node):
    model = graphs.reader("tied")
    tables.tied_tables(model, {node})
    assert TensorProto.INT8 not in sizes(model)
    tables.row_tables(model, {node})
    assert TensorProto.INT8 not in sizes(model), "the head still reads it"
    alone = graphs.reader()
    tables.row_tables(alone, {"look"})
    assert tables.four_bit_tables(alone, {"look"}).graph.node[0].op_type == "Gather"


def test_four_bits_have_blocks_of_their_own():
    model = tables.four_bit_tables(graphs.reader())
    assert model.graph.node[0].op_type == "GatherBlockQuantized"
    assert graphs.moved(graphs.answers(graphs.reader(), graphs.ids()), graphs.answers(model, graphs.ids())) < 0.15
