"""Models prepared for integers: which layers, with how many bits, and that training heals what rounding did."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from stillhouse.compression.fake_quantize import InputRange
from stillhouse.compression.integer import convert
from stillhouse.compression.qat import Bits, bake, freeze_ranges, observe, own_weight, prepare, prepared
from stillhouse.errors import UsageError
from stillhouse.objectives.response import ForwardKL
from stillhouse.teachers.local import Local
from stillhouse.training.loop import Lesson, Schedule, train
from stillhouse.training.online import Online
from tests.compression.subjects import FAMILIES, others, subject
from tests.training.pupils import ROWS, SCHEDULE, SIZE, Dying, Killed, lesson, pupil, score, task, watch

every_family = pytest.mark.parametrize("family", FAMILIES)


def bits_of(model: nn.Module) -> dict[str, int]:
    return {layer.name: 32 if layer.grid is None else layer.grid.bits for layer in prepared(model)}


def said(model: nn.Module, inputs) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs)


@every_family
def test_with_everything_at_32_bits_nothing_changes(family):
    given = subject(family)
    before, names = said(given.model, given.inputs), list(given.model.state_dict())
    prepare(given.model, Bits(weights=32, activations=32, embeddings=32))
    assert torch.equal(said(given.model, given.inputs), before)
    assert list(given.model.state_dict()) == names


@every_family
def test_every_layer_has_the_bits_of_its_role(family):
    found = bits_of(prepare(subject(family).model, Bits(weights=4, embeddings=8, edges=6)))
    heads = {"bert": "classifier", "llama": "lm_head", "vit": "classifier", "resnet": "classifier.1", "plain": "9"}
    firsts = {"vit": "patch_embeddings.projection", "resnet": "embedder.embedder.convolution", "plain": "0"}
    tables = [
        name for name in found if "embeddings" in name or "wte" in name or "wpe" in name or "embed_tokens" in name
    ]
    edges = [name for name in found for end in (heads.get(family), firsts.get(family)) if end and name.endswith(end)]
    assert len(edges) == (family in heads) + (family in firsts)
    assert {found[name] for name in edges} <= {6}
    tables = [name for name in tables if name not in edges]
    assert {found[name] for name in tables} <= {8}
    if family == "gpt2":
        assert found["model.lm_head"] == found["model.transformer.wte"] == 8, "they share their numbers"
        tables.append("model.lm_head")
    rest = {name: bits for name, bits in found.items() if name not in (*edges, *tables)}
    assert rest
    assert set(rest.values()) == {4}


def test_layers_that_share_a_weight_share_its_grid_and_its_step():
    model = prepare(subject("gpt2").model, Bits(weights=4, embeddings=4, steps="learnt")).model
    head, table = (
        next(part for part in prepared(model) if part.name == name) for name in ("lm_head", "transformer.wte")
    )
    assert head.grid is table.grid
    assert own_weight(head.layer) is own_weight(table.layer)
    assert torch.equal(head.layer.weight, table.layer.weight)


def test_what_is_kept_stays_as_it_is():
    found = bits_of(prepare(subject("bert").model, Bits(keep=("model.classifier", "*.layer.0.*"))))
    kept = {name for name, bits in found.items() if bits == 32}
    assert kept == {name for name in found if name == "model.classifier" or ".layer.0." in name}
    assert len(kept) == 7


def test_a_name_that_no_layer_has_is_refused():
    with pytest.raises(UsageError, match=r"No layer is called 'model.classifer'.*nearest is 'model.classifier'"):
        prepare(subject("bert").model, Bits(keep=("model.classifer",)))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"weights": 1}, "Bits of weights are 2 to 8, or 32"),
        ({"activations": 4}, "activations must be one of 8, 32"),
        ({"group": 24}, "group must be one of 0, 16"),
        ({"steps": "guessed"}, "steps must be one of widest, learnt"),
    ],
)
def test_bits_that_cannot_be_had_are_refused(given, told):
    with pytest.raises(UsageError, match=told):
        Bits(**given)


def test_a_prepared_model_is_not_prepared_again():
    model = prepare(subject("plain").model, Bits())
    with pytest.raises(UsageError, match="prepared already"):
        prepare(model, Bits())


def test_attention_that_goes_past_its_layers_is_left_alone():
    model = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)
    assert bits_of(prepare(model, Bits())) == {"self_attn.out_proj": 32, "linear1": 8, "linear2": 8}


@every_family
@pytest.mark.parametrize("steps", ["widest", "learnt"])
def test_gradients_reach_weights_and_steps(family, steps):
    given = subject(family)
    model = prepare(given.model, Bits(weights=3, embeddings=4, edges=3, steps=steps)).train()
    loss = model(**given.inputs).square().sum()
    layers = [layer for layer in prepared(model) if layer.grid is not None]
    weights = {id(own_weight(layer.layer)): own_weight(layer.layer) for layer in layers}
    learnt = {id(one): one for layer in layers for one in layer.grid.parameters()}
    assert len(learnt) == (len(weights) if steps == "learnt" else 0)
    slopes = torch.autograd.grad(loss, [*weights.values(), *learnt.values()], allow_unused=True)
    reached = [slope is not None and slope.abs().sum() > 0 for slope in slopes]
    assert all(reached)


@every_family
def test_the_state_of_a_prepared_model_goes_into_another(family):
    bits = Bits(weights=4, activations=8, embeddings=4, steps="learnt")
    one, other = (prepare(subject(family, seed).model, bits) for seed in (0, 1))
    observe(one, [others(family, 4, 3)])
    other.load_state_dict(one.state_dict())
    inputs = others(family, 2, 5)
    assert torch.equal(said(one.eval(), inputs), said(other.eval(), inputs))


def test_copies_of_a_prepared_model_live_their_own_lives():
    model = prepare(subject("gpt2").model, Bits(weights=4))
    inputs = others("gpt2", 2, 0)
    observe(model, [inputs])
    before = said(model, inputs)
    copied = copy.deepcopy(model)
    assert torch.equal(said(copied, inputs), before)
    bake(copied)
    with torch.no_grad():
        next(copied.parameters()).add_(1)
    assert torch.equal(said(model, inputs), before)


@every_family
def test_a_baked_model_is_an_ordinary_one_with_rounded_weights(family):
    given = subject(family)
    names, kinds = set(given.model.state_dict()), [type(part) for part in given.model.modules()]
    model = prepare(given.model, Bits(weights=3, activations=32, embeddings=4, group=16, steps="learnt"))
    rounded = said(model, given.inputs)
    bake(model)
    assert set(model.state_dict()) == names
    assert [type(part) for part in model.modules()] == kinds
    assert torch.equal(said(model, given.inputs), rounded)


def test_baking_takes_the_rounding_of_inputs_away():
    given = subject("plain")
    model = prepare(given.model, Bits())
    observe(model, [given.inputs])
    bake(model)
    assert not any(isinstance(part, InputRange) for part in model.modules())
    assert all(not part._forward_pre_hooks for part in model.modules())


def test_ranges_are_seen_without_learning_and_the_mode_stays():
    given = subject("bert")
    model = prepare(given.model, Bits()).train()
    weights = [weight.clone() for weight in model.parameters()]
    observe(model, [given.inputs, others("bert", 2, 1)])
    ranges = [part for part in model.modules() if isinstance(part, InputRange)]
    assert ranges
    assert all(int(part.batches) == 2 for part in ranges)
    assert model.training
    assert all(part.training for part in model.modules())
    assert all(torch.equal(one, other) for one, other in zip(weights, model.parameters(), strict=True))


def test_frozen_ranges_stay_while_training_and_go_with_the_state():
    given = subject("plain")
    model = prepare(given.model, Bits())
    observe(model, [given.inputs])
    freeze_ranges(model)
    high = [float(part.high) for part in model.modules() if isinstance(part, InputRange)]
    model.train()(given.inputs["input"] * 10)
    assert [float(part.high) for part in model.modules() if isinstance(part, InputRange)] == high
    other = prepare(subject("plain", 1).model, Bits())
    other.load_state_dict(model.state_dict())
    assert all(part.frozen for part in other.modules() if isinstance(part, InputRange))
    freeze_ranges(other, False)
    assert not any(part.frozen for part in other.modules() if isinstance(part, InputRange))


def test_a_layer_called_by_keyword_is_told_how_to_be_called():
    model = prepare(nn.Linear(4, 4), Bits())
    with pytest.raises(UsageError, match="called by keyword"):
        model(input=torch.ones(1, 4))


# Healing


@pytest.fixture(scope="module")
def teacher():
    """A student in full precision that has learnt its task."""
    made = pupil("static")
    train(lesson(made), Schedule(epochs=60, evaluations=4, patience=99), watch())
    assert score(made) > 0.9
    return made


def healing(student, teacher) -> Lesson:
    asked = Online(task(), Local(copy.deepcopy(teacher), task()), range(ROWS), SIZE, 0)
    return Lesson(student, task(), asked, ForwardKL())


def divergence(student, teacher) -> float:
    """How far two models' answers are apart, in nats over all rows."""
    given = task()
    batch = given.batch(range(ROWS))
    with torch.no_grad():
        mine, its = (model.eval()(**batch.inputs) for model in (student, teacher))
    return float(
        sum(
            (b.log_softmax(-1).exp() * (b.log_softmax(-1) - a.log_softmax(-1))).sum()
            for a, b in zip(mine.split(given.sizes, -1), its.split(given.sizes, -1), strict=True)
        )
    )


@pytest.mark.parametrize(("bits", "steps"), [(2, "learnt"), (3, "learnt"), (4, "widest")])
def test_training_with_a_teacher_heals_what_rounding_did(bits, steps, teacher):
    wanted = Bits(weights=bits, embeddings=bits, edges=bits, activations=32, steps=steps)
    untrained, student = (prepare(copy.deepcopy(teacher), wanted) for _ in range(2))
    before = divergence(untrained, teacher)
    looks = watch(score=lambda student: -divergence(student, teacher))
    train(healing(student, teacher), Schedule(epochs=20, evaluations=4, patience=99), looks)
    assert divergence(convert(student), teacher) < 0.3 * before
    assert divergence(convert(untrained), teacher) == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize(("family", "last"), [("static", 1), ("static", 11), ("encoder", 5)])
def test_healing_that_was_killed_goes_on_to_the_same_integers(family, last, tmp_path):
    wanted, teacher = Bits(weights=4, embeddings=4, steps="learnt"), pupil(family, 9)

    def run(path, dies=None):
        student = prepare(copy.deepcopy(teacher), wanted)
        given = healing(student, teacher)
        source = given.source if dies is None else Dying(given.source, dies)

        def freeze_late(done, total, note):
            if done >= 10:
                freeze_ranges(student)

        looks = watch(checkpoint=path, checkpoint_every=0.0, tell=freeze_late)
        train(Lesson(student, given.task, source, given.objective), SCHEDULE, looks)
        return convert(student).state_dict()

    whole = run(tmp_path / "whole")
    with pytest.raises(Killed):
        run(tmp_path / "killed", last)
    resumed = run(tmp_path / "killed")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
