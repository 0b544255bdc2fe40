"""Integers answer as training promised: in torch, and as ONNX graphs, with and without the runtime's optimisations."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch import nn

from stillhouse.compression.integer import IntegerConv2d, IntegerEmbedding, IntegerLinear, Integers, bytes_of, convert
from stillhouse.compression.qat import Bits, observe, prepare, prepared
from stillhouse.errors import UsageError
from stillhouse.models.heads import project
from tests.compression.subjects import FAMILIES, Subject, others, subject, texts

every_family = pytest.mark.parametrize("family", FAMILIES)
LOOSE = 2e-5
"""How far logits may be apart where no input is rounded: sums are taken in another order."""
KINDS = {
    "bert": Bits(weights=8, activations=8, embeddings=8),
    "gpt2": Bits(weights=4, activations=32, embeddings=4, edges=4, group=32, steps="learnt"),
    "llama": Bits(weights=3, activations=32, embeddings=8),
    "vit": Bits(weights=8, activations=8, embeddings=8),
    "resnet": Bits(weights=8, activations=8),
    "plain": Bits(weights=2, activations=32, edges=4, steps="learnt"),
}


def made(family: str, bits: Bits) -> Subject:
    given = subject(family)
    prepare(given.model, bits)
    observe(given.model, [given.inputs, *(others(family, 8, seed) for seed in range(3))])
    return given


def said(model: nn.Module, inputs) -> np.ndarray:
    with torch.no_grad():
        return model(**inputs).numpy()


@every_family
@pytest.mark.parametrize(("weights", "group"), [(8, 0), (8, 32), (5, 0), (4, 32), (3, 0), (2, 16)])
@pytest.mark.parametrize("activations", [8, 32])
def test_integers_answer_as_the_prepared_model(family, weights, group, activations):
    given = made(family, Bits(weights, activations, embeddings=weights, edges=weights, group=group))
    inputs = others(family, 5, 4)
    promised = said(given.model, inputs)
    small = convert(given.model)
    assert np.abs(said(small, inputs) - promised).max() <= LOOSE * np.abs(promised).max() + closest(activations)
    assert bytes_of(small) < bytes_of(given.model)


def closest(activations: int) -> float:
    """What one input that is rounded the other way may change."""
    return 0.05 if activations == 8 else 0.0


@every_family
@pytest.mark.parametrize(("weights", "group"), [(8, 0), (6, 64), (4, 32), (3, 0), (2, 16)])
def test_every_weight_is_to_the_bit_what_training_saw(family, weights, group):
    bits = Bits(weights, 32, embeddings=weights, edges=weights, group=group, steps="learnt")
    given = made(family, bits)
    small = convert(given.model)
    layers = [layer for layer in prepared(given.model) if layer.grid is not None]
    assert layers
    for layer in layers:
        seen, stored = layer.layer.weight, small.get_submodule(layer.name).weight
        assert torch.equal(stored, seen.T if layer.grid.cut.transposed else seen)


@every_family
def test_the_state_of_integers_goes_into_another(family):
    bits = KINDS[family]
    one = convert(made(family, bits).model)
    fresh = subject(family, 1)
    prepare(fresh.model, bits)
    observe(fresh.model, [fresh.inputs])
    other = convert(fresh.model)
    other.load_state_dict(one.state_dict())
    inputs = others(family, 2, 6)
    assert np.array_equal(said(one, inputs), said(other, inputs))


def test_what_was_prepared_stays_prepared():
    given = made("bert", Bits())
    before = said(given.model, given.inputs)
    small = convert(given.model)
    assert np.array_equal(said(given.model, given.inputs), before)
    kinds = [type(part) for part in small.modules()]
    assert IntegerLinear in kinds
    assert IntegerEmbedding in kinds
    assert nn.Linear not in kinds


def test_a_single_layer_becomes_integers_too():
    layer = prepare(nn.Linear(20, 3), Bits(activations=32))
    assert isinstance(convert(layer), IntegerLinear)


def test_layers_that_share_a_weight_share_its_integers():
    small = convert(made("gpt2", KINDS["gpt2"]).model).model
    assert small.lm_head.integers is small.transformer.wte.integers


def test_a_head_of_integers_gives_few_logits_at_a_time():
    given = made("llama", KINDS["llama"])
    small, inputs = convert(given.model).model, texts(2, 6)
    with torch.no_grad():
        put_off = project(small, inputs).logits()
        at_once = small(**inputs, use_cache=False).logits
    assert torch.allclose(put_off, at_once, atol=1e-5)


@pytest.mark.parametrize("width", [2, 4, 8])
def test_packed_numbers_come_out_as_they_went_in(width):
    given = torch.randint(-(2 ** (width - 1)), 2 ** (width - 1), (6, 3, 16), dtype=torch.int8)
    weight = nn.Linear(48, 6, bias=False)
    with torch.no_grad():
        weight.weight.copy_(given.flatten(1).float() * 0.5)
        weight.weight[:, ::16] = -(2 ** (width - 1)) * 0.5 + 0.5  # the widest number, so that a step is a half
    small = convert(prepare(weight, Bits(weights=width, edges=width, activations=32, group=16)))
    assert small.integers.width == width
    assert torch.allclose(small.weight, weight.weight)


def test_what_was_never_seen_is_told():
    with pytest.raises(UsageError, match="was never seen"):
        convert(prepare(subject("plain").model, Bits()))


def test_a_model_that_was_not_prepared_is_told():
    with pytest.raises(UsageError, match="not prepared"):
        convert(subject("plain").model)


# Graphs

graphs = pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow) if name in ("bert", "llama") else name for name in FAMILIES]
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Every family's prepared model, and the graph of its integers, exported when first asked for."""
    folder, done = tmp_path_factory.mktemp("graphs"), {}

    def get(family: str):
        if family not in done:
            given = made(family, KINDS[family])
            path = folder / f"{family}.onnx"
            given.export(convert(given.model), path)
            done[family] = given, path
        return done[family]

    return get


def run(path, inputs, optimised: bool) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]


@graphs
@pytest.mark.parametrize("optimised", [False, True], ids=["as written", "optimised"])
def test_a_graph_of_integers_answers_as_the_prepared_model(family, optimised, exported):
    given, path = exported(family)
    for inputs in (given.inputs, others(family, 16, 9)):
        promised = said(given.model, inputs)
        found = run(path, inputs, optimised)
        loose = LOOSE * np.abs(promised).max() + closest(KINDS[family].activations)
        assert np.abs(found - promised).max() <= loose
        assert (found.argmax(-1) == promised.argmax(-1)).mean() > 0.97


@graphs
def test_a_graph_holds_integers_and_few_floats(family, exported):
    _, path = exported(family)
    model = onnx.load(path)
    counts = {"floats": 0, "integers": 0}
    for weight in model.graph.initializer:
        size = int(np.prod(weight.dims))
        if weight.data_type in (TensorProto.INT8, TensorProto.UINT8):
            counts["integers"] += size
        elif weight.data_type == TensorProto.FLOAT:
            counts["floats"] += size
    assert counts["integers"] > 2 * counts["floats"]
    operators = {node.op_type for node in model.graph.node}
    blocks = KINDS[family].activations == 32 and family != "plain"
    assert ("MatMulNBits" in operators) or not blocks
    assert ("QuantizeLinear" in operators) == (KINDS[family].activations == 8)


def test_integers_that_layers_share_are_written_once(exported):
    _, path = exported("gpt2")
    shapes = [list(weight.dims) for weight in onnx.load(path).graph.initializer]
    assert shapes.count([64, 2, 16]) == 1, "64 tokens of 48 numbers, two a byte, in two blocks of 32"


def test_the_runtime_multiplies_integers_where_inputs_are_rounded(exported, tmp_path):
    for family, wanted in (("vit", "MatMulIntegerToFloat"), ("resnet", "QLinearConv")):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        onnxruntime.InferenceSession(exported(family)[1], options, providers=["CPUExecutionProvider"])
        operators = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
        assert wanted in operators


def test_numbers_of_a_layer_are_counted_once():
    integers = Integers(torch.zeros(4, 8, dtype=torch.int8), torch.ones(4), 8, 0, 0)
    both = nn.ModuleList([IntegerLinear(integers, None, None, (8, 4)), IntegerEmbedding(integers, None)])
    assert bytes_of(both) == 4 * 8 + 4 * 4
    assert IntegerConv2d(integers, nn.Conv2d(2, 4, 2), None).weight.shape == (4, 2, 2, 2)
