"""Which node loses most, and graphs of which just enough nodes keep their bits."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from stillhouse.compression.calibrate import Samples
from stillhouse.compression.quantize import quantize
from stillhouse.compression.scheme import Scheme
from stillhouse.compression.sensitivity import output_error, quantize_within, sensitivity
from stillhouse.errors import UsageError
from tests.compression import graphs


@pytest.fixture
def fragile(tmp_path):
    """A graph whose second product loses much: in each column of its matrix one number is a hundred times the rest."""
    model = graphs.reader()
    values = graphs.random(2 * graphs.WIDTH, graphs.WIDTH, seed=2, size=0.2)
    values[7] *= 300
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(values, "down"))
    dull = graphs.random(graphs.WIDTH, 2 * graphs.WIDTH, seed=1, size=0.2)
    dull[:, 7] = 0  # what the large numbers are multiplied with is nothing
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(dull, "up"))
    return graphs.save(model, tmp_path / "whole.onnx")


SAMPLES = Samples([graphs.ids(seed=seed) for seed in range(3)])


@pytest.mark.parametrize("form", ["int8", "int4"])
def test_the_node_that_loses_most_is_found(fragile, form):
    losses = sensitivity(fragile, Scheme.named(form), SAMPLES)
    assert losses[0].node == "down"
    assert losses[0].operator == "MatMul"
    assert losses[0].numbers == 2 * graphs.WIDTH**2
    assert {loss.node for loss in losses} == {"look", "up", "down", "head"}
    assert [loss.error for loss in losses] == sorted((loss.error for loss in losses), reverse=True)
    assert losses[0].error > 3 * losses[1].error


def test_a_loss_is_what_the_graph_loses_with_that_node_alone(fragile, tmp_path):
    losses = {loss.node: loss.error for loss in sensitivity(fragile, Scheme(), SAMPLES)}
    quantize(fragile, tmp_path / "alone.onnx", Scheme(keep=("look", "down", "head")))
    assert output_error(fragile, tmp_path / "alone.onnx", SAMPLES) == pytest.approx(losses["up"])


def test_just_enough_nodes_keep_their_bits(fragile, tmp_path):
    whole = tmp_path / "all.onnx"
    quantize(fragile, whole)
    tolerance = 0.5 * output_error(fragile, whole, SAMPLES)
    mixed = quantize_within(fragile, tmp_path / "mixed.onnx", Scheme(), SAMPLES, tolerance)
    assert mixed.kept[:1] == ("down",) or "down" in mixed.kept
    assert mixed.error <= tolerance
    assert mixed.error == pytest.approx(output_error(fragile, tmp_path / "mixed.onnx", SAMPLES))
    assert mixed.size == (tmp_path / "mixed.onnx").stat().st_size
    assert whole.stat().st_size < mixed.size < fragile.stat().st_size
    fewer = Scheme(keep=mixed.kept[:-1])
    quantize(fragile, tmp_path / "fewer.onnx", fewer)
    assert output_error(fragile, tmp_path / "fewer.onnx", SAMPLES) > tolerance


def test_where_all_is_well_nothing_is_kept(fragile, tmp_path):
    mixed = quantize_within(fragile, tmp_path / "mixed.onnx", Scheme(), SAMPLES, 0.9)
    assert mixed.kept == ()
    assert mixed.losses == ()
    quantize(fragile, tmp_path / "all.onnx")
    assert (tmp_path / "mixed.onnx").read_bytes() == (tmp_path / "all.onnx").read_bytes()


def test_a_tiny_tolerance_gives_the_float_graph_back(fragile, tmp_path):
    mixed = quantize_within(fragile, tmp_path / "mixed.onnx", Scheme(), SAMPLES, 1e-9)
    assert set(mixed.kept) == {"look", "up", "down", "head"}
    assert mixed.error == 0
    feed = graphs.ids(seed=8)
    assert np.array_equal(graphs.answers(fragile, feed), graphs.answers(tmp_path / "mixed.onnx", feed))


def test_convolutions_are_measured_with_the_ranges_of_the_whole_graph(tmp_path):
    whole = graphs.save(graphs.convolutional(), tmp_path / "whole.onnx")
    samples = Samples([graphs.pictures(seed=seed) for seed in range(3)])
    losses = sensitivity(whole, Scheme("int8-static"), samples)
    assert {loss.node for loss in losses} == {"conv0", "conv1", "head"}
    mixed = quantize_within(whole, tmp_path / "mixed.onnx", Scheme("int8-static"), samples, losses[0].error / 2)
    assert losses[0].node in mixed.kept


def test_a_tolerance_of_nothing_is_refused(fragile, tmp_path):
    with pytest.raises(UsageError, match="a share above 0"):
        quantize_within(fragile, tmp_path / "mixed.onnx", Scheme(), SAMPLES, 0)
