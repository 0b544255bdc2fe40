"""Low rank: exact at full rank, the error that is predicted below, better than plain SVD, within budget, and healed."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from stillhouse.compression.low_rank import LowRank, decompose, decompose_table, factor
from stillhouse.compression.quantize import bytes_of, quantize
from stillhouse.errors import UsageError
from stillhouse.export.onnx import export_onnx
from stillhouse.models.cost import parameters
from stillhouse.models.factored import FactoredEmbedding, FactoredLinear, merge, save_model
from stillhouse.models.load import load_causal
from stillhouse.objectives.response import ForwardKL
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.online import Online
from tests.models import kinds, tiny
from tests.training import pupils

GENERATOR = torch.Generator().manual_seed(0)
WEIGHT = torch.randn(24, 16, generator=GENERATOR, dtype=torch.float64)
MIXED = torch.randn(16, 16, generator=GENERATOR, dtype=torch.float64) @ torch.diag(2.0 ** -torch.arange(16.0).double())
INPUTS = torch.randn(500, 16, generator=GENERATOR, dtype=torch.float64) @ MIXED.T
MOMENT = INPUTS.T @ INPUTS / len(INPUTS)


def lost(product: torch.Tensor) -> float:
    """The mean over inputs of ||W x - W' x||^2."""
    return float((INPUTS @ (WEIGHT - product).T).square().sum(1).mean())


@pytest.mark.parametrize("rank", [1, 3, 8, 15])
def test_what_is_lost_is_what_was_predicted(rank):
    left, energies = decompose(WEIGHT, MOMENT)
    part = left[:, :rank]
    ridge = 1e-6 * float(energies.sum())  # what directions never seen count for
    assert lost(part @ part.T @ WEIGHT) == pytest.approx(float(energies[rank:].sum()), rel=1e-3, abs=ridge)


@pytest.mark.parametrize("rank", [2, 4, 8])
def test_it_loses_less_than_plain_svd_and_nothing_of_that_rank_loses_less(rank):
    left, _ = decompose(WEIGHT, MOMENT)
    u, s, v = torch.linalg.svd(WEIGHT, full_matrices=False)
    plain = (u[:, :rank] * s[:rank]) @ v[:rank]
    ours = lost(left[:, :rank] @ left[:, :rank].T @ WEIGHT)
    assert ours < 0.6 * lost(plain)
    root = torch.linalg.cholesky(MOMENT)
    u, s, v = torch.linalg.svd(WEIGHT @ root, full_matrices=False)
    whitened = torch.linalg.solve_triangular(root, (u[:, :rank] * s[:rank]) @ v[:rank], upper=False, left=False)
    assert ours == pytest.approx(lost(whitened), rel=1e-4)


@pytest.mark.parametrize("shape", [(24, 16), (16, 24), (16, 16)])
def test_full_rank_is_exact_even_in_directions_never_seen(shape):
    weight = torch.randn(shape, dtype=torch.float64, generator=GENERATOR)
    few = torch.randn(3, shape[1], dtype=torch.float64, generator=GENERATOR)
    left, _ = decompose(weight, few.T @ few)
    assert torch.allclose(left @ left.T @ weight, weight, atol=1e-9)


def test_rows_of_a_table_that_are_looked_up_often_lose_least():
    table = torch.randn(50, 12, generator=GENERATOR)
    counts = torch.zeros(50, dtype=torch.float64)
    counts[:5] = 1_000
    directions, energies = decompose_table(table, counts)
    part = directions[:, :5].float()
    gone = (table - table @ part @ part.T).square().sum(1)
    assert gone[:5].max() < 0.05 * gone[5:].mean()
    weighted = (gone * (counts + 1)).sum()
    assert float(weighted) == pytest.approx(float(energies[5:].sum()), rel=1e-3)


def batches(model: nn.Module, count: int = 3) -> list[dict[str, torch.Tensor]]:
    return [kinds.inputs(model, rows=4, seed=seed) for seed in range(count)]


def answer(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return kinds.answer(model, kinds.inputs(model, rows=4, seed=9))


@pytest.mark.parametrize("kind", ["bert-classifier", "distilbert", "gpt2", "llama", "qwen3", "vit", "gemma"])
@pytest.mark.parametrize("keep", [0.4, 0.7])
def test_the_budget_holds_on_every_kind_of_model(kind, keep):
    model = kinds.make(kind)
    before = answer(model)
    found = factor(model, batches(model), LowRank(keep=keep))
    assert found.after == parameters(model) < found.before == parameters(kinds.make(kind))
    layers = {
        name: part for name, part in model.named_modules() if isinstance(part, FactoredLinear | FactoredEmbedding)
    }
    heads = {name for name, part in layers.items() if name not in found.ranks}
    table = any(isinstance(layers[name], FactoredEmbedding) for name in found.ranks)
    assert heads == ({"lm_head"} if table and kind in ("gpt2", "qwen3") else set())
    assert {name: layers[name].rank for name in found.ranks} == found.ranks
    whole = {name: part for name, part in kinds.make(kind).named_modules() if _taken(kind, name, part)}
    room = keep * sum(part.weight.numel() for part in whole.values())
    held = sum(_cost(layers.get(name, part)) for name, part in whole.items())
    assert room - 2 * 160 <= held <= room
    assert all(0 <= error < 1 for error in found.errors.values())
    assert torch.isfinite(answer(model)).all()
    assert not torch.equal(answer(model), before)


def _taken(kind: str, name: str, part: nn.Module) -> bool:
    """Whether a module of `kind` is one that may be factored: told here by name and size."""
    if isinstance(part, nn.Embedding):
        return part.num_embeddings == tiny.TOKENS and kind != "gemma"
    weight = getattr(part, "weight", None)
    tied = name == "lm_head" and kind in ("gpt2", "qwen3", "gemma")
    return weight is not None and weight.dim() == 2 and min(weight.shape) >= 16 and not tied


def _cost(part: nn.Module) -> int:
    if isinstance(part, FactoredLinear):
        return part.rank * (part.in_features + part.out_features)
    if isinstance(part, FactoredEmbedding):
        return part.rank * (part.num_embeddings + part.embedding_dim)
    return part.weight.numel()


@pytest.mark.parametrize("kind", ["bert-classifier", "gpt2", "llama", "vit"])
def test_almost_all_parameters_answer_almost_as_before(kind):
    model = kinds.make(kind)
    before = answer(model)
    factor(model, batches(model, 20), LowRank(keep=0.98))
    near = (answer(model) - before).norm() / before.norm()
    rough = kinds.make(kind)
    factor(rough, batches(rough, 20), LowRank(keep=0.3))
    assert near < 0.5 * (answer(rough) - before).norm() / before.norm()


def test_the_same_data_give_the_same_weights_whatever_the_memory():
    one, two = kinds.make("bert-classifier"), kinds.make("bert-classifier")
    first = factor(one, batches(one))
    assert first == factor(two, batches(two), LowRank(memory=1))
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, two.state_dict()[name])


def test_embeddings_are_left_alone_when_asked():
    model = kinds.make("bert-classifier")
    found = factor(model, batches(model), LowRank(embeddings=False))
    assert type(model.bert.embeddings.word_embeddings) is nn.Embedding
    assert all("embeddings" not in name for name in found.ranks)


def test_biases_modes_and_gradients_stay():
    model = kinds.make("bert-classifier").train()
    biases = {name: part.bias.detach().clone() for name, part in model.named_modules() if type(part) is nn.Linear}
    found = factor(model, batches(model), LowRank(keep=0.4))
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    model(**kinds.inputs(model)).logits.square().sum().backward()
    for name in found.ranks:
        part = model.get_submodule(name)
        assert all(weight.grad.abs().sum() > 0 for weight in part.parameters() if weight.dim() == 2)
        assert isinstance(part, FactoredEmbedding) or torch.equal(part.bias, biases[name])


def test_a_model_saved_after_it_is_loaded_as_it_was(tmp_path):
    model = kinds.make("gpt2")
    factor(model, batches(model), LowRank(keep=0.5))
    tiny.save(tmp_path, tiny.encoder(), tiny.wordpiece())
    for file in ("model.safetensors", "config.json"):
        (tmp_path / file).unlink()
    save_model(model, tmp_path)
    assert torch.equal(answer(load_causal(str(tmp_path)).model), answer(model))
    before = answer(model)
    merge(model)
    assert torch.allclose(answer(model), before, atol=1e-4)
    assert parameters(model) == parameters(kinds.make("gpt2"))


@pytest.mark.slow
def test_healing_by_distillation_brings_back_what_was_lost():
    task, teacher = pupils.task(), pupils.pupil("encoder")
    train(pupils.lesson(teacher), Schedule(epochs=25, patience=99, rate=20), pupils.watch())
    teacher.eval()
    assert pupils.score(teacher) > 0.9
    student = deepcopy(teacher)
    given = [task.batch(range(at, at + 11)).inputs for at in range(0, pupils.ROWS, 11)]
    factor(student, given, LowRank(keep=0.25))
    broken = pupils.score(student)
    source = Online(task, Local(teacher, task), range(pupils.ROWS), pupils.SIZE, 0)
    lesson = Lesson(student, task, source, ForwardKL(2))
    train(lesson, Schedule(epochs=30, patience=99, rate=60, evaluations=6), pupils.watch())
    assert broken < 0.8
    assert pupils.score(student.eval()) > broken + 0.5 * (pupils.score(teacher) - broken)
    assert any(isinstance(part, FactoredLinear) for part in student.modules())
    assert parameters(student) < 0.5 * parameters(teacher)


@pytest.mark.slow
def test_a_factored_student_is_exported_smaller_and_answers_alike(tmp_path):
    student = pupils.pupil("encoder").eval()
    export_onnx(student, tmp_path / "whole.onnx")
    given = [pupils.task().batch(range(at, at + 11)).inputs for at in range(0, pupils.ROWS, 11)]
    factor(student, given, LowRank(keep=0.4))
    export_onnx(student, tmp_path / "thin.onnx")
    assert bytes_of(tmp_path / "thin.onnx") < 0.7 * bytes_of(tmp_path / "whole.onnx")
    with torch.no_grad():
        expected = student(**given[0]).numpy()
    feed = {name: value.numpy() for name, value in given[0].items()}
    session = onnxruntime.InferenceSession(tmp_path / "thin.onnx", providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, feed)[0] - expected).max() < 1e-4
    quantize(tmp_path / "thin.onnx", tmp_path / "small.onnx")
    assert bytes_of(tmp_path / "small.onnx") < bytes_of(tmp_path / "thin.onnx")


def test_wrong_wishes_are_refused():
    model = kinds.make("bert-classifier")
    with pytest.raises(UsageError, match="above 0 and below 1"):
        LowRank(keep=1.0)
    with pytest.raises(UsageError, match="more than once"):
        factor(model, iter(batches(model)))
    with pytest.raises(UsageError, match="no linear layer of 64 inputs"):
        factor(kinds.make("vit"), batches(kinds.make("vit")), LowRank(least=64))
    with pytest.raises(UsageError, match="at rank 1"):
        factor(model, batches(model), LowRank(keep=0.01))
