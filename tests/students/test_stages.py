"""Convolutional models lose blocks of a stage and channels of a stage, and everything that goes with them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import RegNetConfig, RegNetForImageClassification, SwinConfig, SwinForImageClassification

from stillhouse.errors import UsageError
from stillhouse.students.shrink import shrink
from stillhouse.students.stages import shrink_stages
from tests.models import kinds

every_kind = pytest.mark.parametrize("kind", kinds.STAGES)


def depths(model: nn.Module) -> list[int]:
    stages = next(module.stages for module in model.modules() if hasattr(module, "stages"))
    return [len(stage.layers) for stage in stages]


@every_kind
def test_full_size_is_the_identity(kind):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    same = shrink(model, layers=9, width=model.config.hidden_sizes)
    assert torch.equal(kinds.answer(same, given), kinds.answer(model, given))
    assert same.config.to_dict() == model.config.to_dict()


@every_kind
@pytest.mark.parametrize("asked", [{"layers": 1}, {"width": "half"}, {"layers": (1, 2, 1), "width": "half"}], ids=str)
def test_a_smaller_one_can_be_saved_loaded_and_taught(kind, asked, tmp_path):
    model = kinds.make(kind)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    given = kinds.inputs(model)
    half = [width // 2 for width in model.config.hidden_sizes]
    student = shrink(model, asked.get("layers"), half if "width" in asked else None)
    if "layers" in asked:
        assert depths(student) == list(student.config.depths) == ([1, 1, 1] if asked["layers"] == 1 else [1, 2, 1])
    assert student.config.hidden_sizes == (half if "width" in asked else model.config.hidden_sizes)
    student.save_pretrained(tmp_path)
    loaded = type(student).from_pretrained(tmp_path).eval()
    assert torch.equal(kinds.answer(loaded, given), kinds.answer(student, given))
    kinds.answer(student.train(), given).square().mean().backward()
    assert all(weight.grad is not None for weight in student.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert depths(model) == [1, 3, 2]


@pytest.mark.parametrize("kind", ["resnet-basic", "resnet-bottleneck"])
@pytest.mark.parametrize("seen", [False, True], ids=["by weight", "by activation"])
def test_channels_that_carry_nothing_are_dropped_and_nothing_changes(kind, seen):
    model = kinds.make(kind)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight[::2] = 0  # and its bias is 0: every other channel stays 0 all the way
    given = kinds.inputs(model)
    student = shrink(
        model, width=[width // 2 for width in model.config.hidden_sizes], batches=[given] if seen else None
    )
    expected = kinds.answer(model, given)
    assert torch.allclose(kinds.answer(student, given), expected, atol=1e-5)
    assert expected.std() > 0.01


def test_convnext_keeps_the_channels_of_a_stage_together():
    model = kinds.make("convnext")
    student = shrink(model, width=[4, 8, 12], batches=[kinds.inputs(model)])
    for stage in range(3):
        mine, whole = (one.convnext.encoder.stages[stage].layers[0] for one in (student, model))
        kept = [
            next(index for index, theirs in enumerate(whole.dwconv.weight) if torch.equal(channel, theirs))
            for channel in mine.dwconv.weight
        ]
        assert mine.pwconv1.weight.shape == (4 * len(kept), len(kept))
        rows = {tuple(row.tolist()) for row in whole.pwconv1.weight[:, kept]}
        assert {tuple(row.tolist()) for row in mine.pwconv1.weight} <= rows


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"layers": (1, 4, 2)}, r"Layers \(1, 4, 2\) cannot be kept .* whose stages have \[1, 3, 2\] blocks"),
        ({"layers": 0}, r"Layers 0 cannot be kept"),
        ({"width": [8, 16]}, r"Widths \[8, 16\] cannot be had .* whose stages have \[8, 16, 16\] channels"),
        ({"width": [8, 16, 17]}, r"give one number for each stage, none larger"),
    ],
)
def test_what_cannot_be_is_refused(asked, told):
    with pytest.raises(UsageError, match=told):
        shrink_stages(kinds.make("resnet-basic"), **asked)


def test_where_channels_branch_only_blocks_can_be_dropped():
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [2, 2], "groups_width": 8, "num_labels": 5}
    model = RegNetForImageClassification(RegNetConfig(**sizes, layer_type="y")).eval()
    assert kinds.answer(shrink(model, layers=1), kinds.inputs(model)).shape == (2, 5)
    with pytest.raises(UsageError, match="How channels flow through RegNetForImageClassification is not known"):
        shrink(model, width=[4, 8])


def test_stages_are_not_mistaken_for_blocks():
    model = SwinForImageClassification(
        SwinConfig(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
    )
    with pytest.raises(UsageError, match="SwinForImageClassification is built in stages, which are no stack"):
        shrink(model, layers=1)


def test_a_frozen_teacher_gives_a_student_that_learns():
    model = kinds.make("convnext").requires_grad_(False)
    assert all(weight.requires_grad for weight in shrink(model, layers=1).parameters())
