"""A graph is one file, the same each time, or two where it is large."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.export import graph
from stillhouse.export.graph import DATA, free, write_graph


class Sum(nn.Module):
    """Adds its inputs, whose forms may nest."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(2_000.0))

    def forward(self, one: torch.Tensor, others: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return one @ self.weight.view(2, 1_000) + torch.stack(list(others)).sum(0)


GIVEN = (torch.zeros(3, 2), (torch.zeros(3, 1_000), torch.ones(3, 1_000)))
AXES = ({0: "rows"}, ({0: "rows"}, {0: "rows"}))
INPUTS, OUTPUTS = ["one", "first", "second"], ["sum"]


def test_nested_inputs_get_their_names_and_free_axes(tmp_path):
    write_graph(Sum().train(), tmp_path / "a.onnx", GIVEN, AXES, INPUTS, OUTPUTS)
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ("one", ["rows", 2]),
        ("first", ["rows", 1_000]),
        ("second", ["rows", 1_000]),
    ]
    feed = {"one": torch.ones(7, 2).numpy(), **{name: torch.ones(7, 1_000).numpy() for name in INPUTS[1:]}}
    assert session.run(OUTPUTS, feed)[0][6, 0] == 0 + 1_000 + 2


def test_the_same_weights_make_the_same_bytes(tmp_path):
    for name in ("a.onnx", "b.onnx"):
        write_graph(Sum(), tmp_path / name, GIVEN, AXES, INPUTS, OUTPUTS)
    assert hash_file(tmp_path / "a.onnx") == hash_file(tmp_path / "b.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_large_weights_lie_beside_the_graph(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "MOST", 1_000)
    write_graph(Sum(), tmp_path / "a.onnx", GIVEN, AXES, INPUTS, OUTPUTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", f"a.onnx{DATA}"]
    assert (tmp_path / "a.onnx").stat().st_size < 8_000 <= (tmp_path / f"a.onnx{DATA}").stat().st_size
    onnx.checker.check_model(tmp_path / "a.onnx")
    onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])


def test_axes_of_one_name_are_of_one_length():
    axes = free("rows", "tokens")
    assert {axis: dim.__name__ for axis, dim in axes.items()} == {0: "rows", 1: "tokens"}


def test_an_input_that_the_graph_would_not_have_is_told(tmp_path):
    with pytest.raises(UsageError, match="does not read third"):
        write_graph(Sum(), tmp_path / "a.onnx", GIVEN, AXES, [*INPUTS, "third"], OUTPUTS)
