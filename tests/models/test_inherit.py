"""What is kept is what matters, and each weight gets exactly the entries of what is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.models.inherit import (
    Section,
    by_activation,
    by_weight,
    check_names,
    importance,
    inherit,
    largest,
)
from stillhouse.models.layers import attention, blocks, sizes
from stillhouse.students.shrink import shrink
from tests.models import kinds

HIDDEN = (Section("units"),)
PLAN = {"0.weight": {0: HIDDEN}, "0.bias": {0: HIDDEN}, "2.weight": {1: HIDDEN}}
MEMBERS = {"units": 6}


def network(units: int = 6, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, units), nn.ReLU(), nn.Linear(units, 3))


def test_the_largest_are_kept_in_their_order():
    assert largest(torch.tensor([1.0, 3.0, 2.0, 3.0]), 2).tolist() == [1, 3]
    assert largest(torch.zeros(4), 2).tolist() == [0, 1]


def test_by_weight_is_a_product_of_norms_that_no_rescaling_changes():
    model = network()
    scores = by_weight(model, PLAN, MEMBERS)["units"]
    product = model[0].weight.norm(dim=1) * model[2].weight.norm(dim=0)
    assert torch.allclose(scores, product.square().log(), atol=1e-5)
    with torch.no_grad():
        model[0].weight[2] *= 8
        model[2].weight[:, 2] /= 8
    assert torch.allclose(by_weight(model, PLAN, MEMBERS)["units"], scores, atol=1e-5)


def test_what_has_no_matrix_scores_nothing_and_silence_scores_least():
    model = network()
    with torch.no_grad():
        model[2].weight[:, 4] = 0
    scores = by_weight(model, PLAN, {**MEMBERS, "other": 2})
    assert scores["units"].argmin() == 4
    assert scores["other"].tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["bert", "llama", "gemma", "resnet-basic"])
def test_channels_that_go_through_norms_are_weighed_by_their_gains(kind):
    model = kinds.make(kind)
    quiet = [0, 3, 5]
    off = -1.0 if kind == "gemma" else 0.0  # its gain is 1 + weight
    with torch.no_grad():
        for module in model.modules():
            if "Norm" in type(module).__name__ and len(module.weight) == model.get_parameter(STREAM[kind]).shape[0]:
                module.weight[quiet] = off
    if kind == "resnet-basic":
        student = shrink(model, width=[5, 16, 16])
        got = student.resnet.embedder.embedder.convolution.weight
        whole = model.resnet.embedder.embedder.convolution.weight
        kept = [channel for channel in range(8) if channel not in quiet]
        assert torch.equal(got, whole[kept])
    else:
        student = shrink(model, width=24, heads=3 if kind == "bert" else 2)
        mine, theirs = (one.get_input_embeddings().weight for one in (student, model))
        assert not any(torch.equal(mine[:, new], theirs[:, old]) for new in range(24) for old in quiet)


STREAM = {
    "bert": "embeddings.LayerNorm.weight",
    "llama": "model.norm.weight",
    "gemma": "model.norm.weight",
    "resnet-basic": "resnet.embedder.embedder.normalization.weight",
}


def test_by_activation_sums_what_readers_are_given_over_positions_that_count():
    model = kinds.make("llama")
    plan = {"model.layers.1.mlp.down_proj.weight": {1: (Section("units"),)}}
    given = kinds.inputs(model)
    given["attention_mask"][1, 7:] = 0
    seen: list[torch.Tensor] = []
    layer = model.model.layers[1].mlp.down_proj
    hook = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    scores = by_activation(model, plan, {"units": kinds.FFN}, [given, given])["units"]
    hook.remove()
    states = torch.cat([seen[0][0], seen[0][1, :7]])
    assert torch.allclose(scores, 2 * states.abs().sum(0), rtol=1e-4)


def test_a_head_gives_the_norm_of_its_outputs():
    model = kinds.make("bert")
    output = "encoder.layer.0.attention.output.dense"
    seen: list[torch.Tensor] = []
    model.get_submodule(output).register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    plan = {f"{output}.weight": {1: (Section("heads", kinds.HEAD),)}}
    scores = by_activation(model, plan, {"heads": kinds.HEADS}, [kinds.inputs(model)])["heads"]
    assert torch.allclose(scores, seen[0].unflatten(-1, (kinds.HEADS, -1)).norm(dim=-1).sum((0, 1)), rtol=1e-4)


def test_looking_leaves_the_model_as_it_was():
    model = network().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with pytest.raises(TypeError):
        by_activation(model, PLAN, MEMBERS, [{"no_such_input": torch.zeros(1)}])
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_no_batch_is_nothing_to_go_by():
    with pytest.raises(UsageError, match="There is no batch to see what matters on"):
        importance(network(), network(), PLAN, MEMBERS, [])


def test_what_matters_is_seen_in_the_whole_teacher():
    model = kinds.make("llama")
    seen: list[int] = []
    for index, block in enumerate(blocks(model)):
        block.register_forward_hook(lambda module, given, answer, index=index: seen.append(index))
    shrink(model, layers=(0, 2), ffn=24, batches=[kinds.inputs(model)])
    assert seen == [0, 1, 2]


def test_a_student_gets_the_entries_of_what_is_kept():
    teacher, student = network(), network(2, seed=1)
    inherit(student, teacher, PLAN, MEMBERS, {"units": torch.tensor([1, 4])})
    assert torch.equal(student[0].weight, teacher[0].weight[[1, 4]])
    assert torch.equal(student[0].bias, teacher[0].bias[[1, 4]])
    assert torch.equal(student[2].weight, teacher[2].weight[:, [1, 4]])
    assert torch.equal(student[2].bias, teacher[2].bias)
    assert student[2].bias.data_ptr() != teacher[2].bias.data_ptr()


def test_sections_lie_side_by_side():
    teacher, student = nn.Linear(2, 10, bias=False), nn.Linear(2, 6, bias=False)
    plan = {"weight": {0: (Section("pairs", 2), Section("ones"))}}
    kept = {"pairs": torch.tensor([0, 2]), "ones": torch.tensor([1, 3])}
    inherit(student, teacher, plan, {"pairs": 3, "ones": 4}, kept)
    assert torch.equal(student.weight, teacher.weight[[0, 1, 4, 5, 7, 9]])


def test_a_weight_that_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"2\.bias would have shape \[3\] and the student's has \[5\]"):
        inherit(
            nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 5)),
            network(),
            PLAN | {"2.weight": {1: HIDDEN, 0: (Section("labels"),)}},
            MEMBERS | {"labels": 3},
            {"units": torch.tensor([0, 1]), "labels": torch.tensor([0, 1, 2, 2, 2])},
        )


def test_a_student_built_otherwise_is_refused():
    with pytest.raises(UsageError, match=r"they do not share 0\.bias"):
        check_names(nn.Sequential(nn.Linear(2, 2, bias=False)), nn.Sequential(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("kind", "split"),
    [
        ("gpt2", lambda weight: weight.T.unflatten(0, (3, -1, kinds.HEAD)).transpose(0, 1)),
        ("modernbert", lambda weight: weight.unflatten(0, (3, -1, kinds.HEAD)).transpose(0, 1)),
        ("neox", lambda weight: weight.unflatten(0, (-1, 3, kinds.HEAD))),
    ],
)
def test_fused_projections_keep_query_key_and_value_of_one_head_together(kind, split):
    model = kinds.make(kind)
    student = shrink(model, heads=2, width=16)
    whole, half = (split(attention(blocks(one)[0]).inward[0].weight) for one in (model, student))
    kept = [[head for head in range(kinds.HEADS) if torch.isin(mine, whole[head]).all()] for mine in half]
    assert [len(found) for found in kept] == [1, 1]
    assert sizes(student).heads == 2
