"""What a compression may be asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stillhouse.compression.search import Goal
from stillhouse.errors import UsageError
from stillhouse.recipes.compression import CompressRecipe, pooled_as, task_of
from stillhouse.recipes.sections import DataSection, TaskName
from tests.export.test_pooling import folder
from tests.models import kinds, tiny


def recipe(**changes) -> CompressRecipe:
    said = {"model": "m", "task": TaskName.IMAGE, "out": Path("o"), "data": DataSection(train=Path("t"))}
    return CompressRecipe(**{**said, "goal": Goal(bytes=1e6), **changes})


def test_what_makes_no_sense_is_refused():
    for changes, told in (
        ({"trials": 0}, "trials must be 1 or more"),
        ({"levers": ("with",)}, "Did you mean 'width'"),
        ({"task": TaskName.PREFERENCE}, "not preference"),
    ):
        with pytest.raises(UsageError, match=told):
            recipe(**changes)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("bert", TaskName.EMBEDDING),
        ("bert-classifier", TaskName.CLASSIFICATION),
        ("resnet-basic", TaskName.IMAGE),
        ("llama", TaskName.CHAT),
    ],
)
def test_the_task_follows_from_the_model_before_its_weights_are_read(kind, task, tmp_path):
    model = tiny.save(tmp_path / "model", kinds.make(kind), tiny.wordpiece())
    (model / "model.safetensors").unlink()
    assert task_of(str(model)) is task


@pytest.mark.parametrize(
    ("parts", "read"),
    [
        ((), ("mean", True)),
        ((("Pooling", {"pooling_mode_cls_token": True}), ("Normalize", {})), ("cls", True)),
        ((("Pooling", {"pooling_mode": "lasttoken"}),), ("last", False)),
    ],
)
def test_vectors_are_made_as_the_model_says(parts, read, tmp_path):
    place = folder(tmp_path / "a", *parts) if parts else tiny.save(tmp_path / "a", tiny.encoder(), tiny.wordpiece())
    found = pooled_as(str(place), DataSection(train=Path("t"), tokens=7))
    assert (found.pooling, found.normalised, found.tokens) == (*read, 7)


@pytest.mark.parametrize("pooling", [{"pooling_mode": "max"}, {"pooling_mode": ["cls", "mean"]}])
def test_vectors_that_no_smaller_form_could_keep_are_refused(pooling, tmp_path):
    with pytest.raises(UsageError, match="which a smaller form of it cannot keep"):
        pooled_as(str(folder(tmp_path / "a", ("Pooling", pooling))), DataSection(train=Path("t")))


def test_dense_layers_behind_the_pooling_are_refused(tmp_path):
    place = folder(tmp_path / "a", ("Pooling", {}), ("Dense", {"in_features": 32, "out_features": 7}))
    layer = torch.nn.Linear(32, 7)
    save_file({f"linear.{name}": value for name, value in layer.state_dict().items()}, place / "2/model.safetensors")
    with pytest.raises(UsageError, match="dense layers"):
        pooled_as(str(place), DataSection(train=Path("t")))
