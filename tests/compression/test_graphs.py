"""Graphs made ready: the same answers, and the weights where quantisers look for them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from stillhouse.compression import graphs
from stillhouse.errors import UsageError
from tests.compression import graphs as made


def kinds(model) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_norms_after_convolutions_go_into_their_weights():
    model = made.convolutional()
    before = made.answers(model, made.pictures())
    assert graphs.fold_norms(model) == 2
    assert "BatchNormalization" not in kinds(model)
    onnx.checker.check_model(model, full_check=True)
    assert np.allclose(made.answers(model, made.pictures()), before, atol=1e-5)
    assert {tensor.name for tensor in model.graph.initializer} == {
        *("norm0_weight", "norm0_bias", "norm1_weight", "norm1_bias", "head", "head_bias")
    }
    assert graphs.fold_norms(model) == 0


def test_a_norm_stays_where_something_else_reads_the_convolution():
    model = made.convolutional()
    around = next(node for node in model.graph.node if node.op_type == "Add")
    around.input[0] = "c1"
    before = made.answers(model, made.pictures())
    assert graphs.fold_norms(model) == 1
    assert kinds(model).count("BatchNormalization") == 1
    assert np.allclose(made.answers(model, made.pictures()), before, atol=1e-5)


def test_a_matrix_that_is_only_read_transposed_is_written_out():
    weight = made.random(6, 4)
    nodes = [
        helper.make_node("Transpose", ["w"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    model = made.graph(nodes, {"x": ("rows", 4)}, {"y": ("rows", 6)}, {"w": weight})
    x = {"x": made.random(3, 4, seed=1)}
    before = made.answers(model, x)
    graphs.name_nodes(model)
    graphs.fold_transposes(model)
    assert kinds(model) == ["MatMul"]
    assert np.array_equal(made.answers(model, x), before)
    assert list(graphs.weighted(model, ["MatMul"])) == ["MatMul_1"]


def test_a_table_that_is_also_a_head_is_not_written_twice():
    model = made.reader("tied")
    graphs.fold_transposes(model)
    assert "Transpose" in kinds(model)
    assert len(model.graph.initializer) == 3


def test_gemms_become_products_and_sums_but_for_those_kept():
    model = made.reader()
    before = made.answers(model, made.ids())
    graphs.gemm_to_matmul(model, ("head",))
    assert "Gemm" in kinds(model)
    graphs.gemm_to_matmul(model)
    assert "Gemm" not in kinds(model)
    onnx.checker.check_model(model, full_check=True)
    assert np.allclose(made.answers(model, made.ids()), before, atol=1e-5)
    assert "head" in graphs.weighted(model, ["MatMul"])


def test_nodes_get_names_of_their_own():
    model = made.reader()
    for node in model.graph.node[:3]:
        node.name = "same"
    model.graph.node[3].name = ""
    graphs.name_nodes(model)
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert all(names)


def test_bytes_count_the_files_beside(tmp_path):
    alone = made.save(made.reader(), tmp_path / "alone.onnx")
    onnx.save_model(made.reader(), tmp_path / "split.onnx", save_as_external_data=True, location="split.data")
    assert graphs.bytes_of(alone) == alone.stat().st_size
    beside = (tmp_path / "split.data").stat().st_size
    assert beside > 10_000
    assert graphs.bytes_of(tmp_path / "split.onnx") == (tmp_path / "split.onnx").stat().st_size + beside


def test_a_graph_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    graphs.save_graph(made.reader(), tmp_path / "graph.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["graph.onnx"]
    before = (tmp_path / "graph.onnx").read_bytes()
    monkeypatch.setattr(graphs, "LARGEST", 1_000)
    with pytest.raises(UsageError, match="one ONNX file holds 2"):
        graphs.save_graph(made.convolutional(), tmp_path / "graph.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["graph.onnx"]
    assert (tmp_path / "graph.onnx").read_bytes() == before
