"""What a recipe names, made: students, tasks, objectives, and what does not fit is refused."""

from __future__ import annotations

import pytest
import torch
from transformers import BertForSequenceClassification

from stillhouse.errors import MissingExtra, UsageError
from stillhouse.objectives import ForwardKL, HiddenStates
from stillhouse.recipes.build import (
    make_objective,
    make_student,
    make_task,
    make_teacher,
    open_model,
    open_teachers,
    ready_to_learn,
    save_student,
)
from stillhouse.recipes.read_rows import read_rows
from stillhouse.recipes.sections import StudentSection, TaskName
from stillhouse.recipes.training import read_train_recipe
from stillhouse.students.lora import adapters
from tests.models import kinds
from tests.recipes.tiny_recipes import prepare, write_model


def opened(name, folder, *changes):
    recipe = read_train_recipe(*prepare(name, folder)[:1], [*prepare(name, folder)[1], *changes])
    return recipe, read_rows(recipe.data, recipe.task, recipe.seed)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ('{name="foward_kl"}', r"my: objective\[0\]: name = 'foward_kl' is no objective\. Did you mean 'forward_kl'\?"),
        ('{name="zzz"}', r"There are cross_entropy, forward_kl"),
        (
            '{name="forward_kl", settings={temprature=2}}',
            r"my: objective\[0\] \(forward_kl\): settings sets 'temprature'.*Did you mean 'temperature'\?",
        ),
        ('{name="forward_kl", settings={temperature="hot"}}', r"settings: temperature = 'hot' must be a number"),
        ('{name="hidden_states"}', r"\(hidden_states\): settings lacks 'pairs'"),
        ('{name="hidden_states", settings={pairs={a=1}}}', r"settings: pairs must be a table of whole numbers"),
    ],
)
def test_a_misspelt_objective_or_setting_is_refused_with_the_nearest(term, message, tmp_path):
    recipe, _ = opened("response", tmp_path, f"objective=[{term}]")
    with pytest.raises(UsageError, match=message):
        make_objective(recipe, "my")


def test_preferences_are_learnt_from_pairs_alone(tmp_path):
    recipe, _ = opened("response", tmp_path, 'objective=[{name="simpo"}]')
    with pytest.raises(UsageError, match=r'my: SimPO learns which of two answers.*task = "preference"'):
        make_objective(recipe, "my")
    recipe, _ = opened("preference", tmp_path, 'objective=[{name="dpo"}, {name="cross_entropy"}]')
    with pytest.raises(UsageError, match=r"my: CrossEntropy learns every answer .* the rejected ones too"):
        make_objective(recipe, "my")


def test_step_by_step_needs_rationales(tmp_path):
    recipe, _ = opened("online", tmp_path, 'objective=[{name="step_by_step"}]')
    with pytest.raises(UsageError, match=r'objective\[0\]: step_by_step learns rows with a .*task = "rationale"'):
        make_objective(recipe, "my")


def test_objectives_are_weighted_as_the_recipe_says(tmp_path):
    recipe, _ = opened("feature", tmp_path)
    terms = make_objective(recipe, "my").terms
    assert [weight for weight, _ in terms] == [0.6, 0.2, 0.2]
    assert terms[0][1] == ForwardKL(2.0)
    assert terms[2][1] == HiddenStates({0: 0, 1: 2})
    recipe, _ = opened("feature", tmp_path, "source.kind=offline")
    with pytest.raises(UsageError, match=r'Set keep = \["topk:50", "hidden:0,2"\], or take online'):
        make_objective(recipe, "my")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (['objective=[{name="embedding_cosine"}]'], r'needs embedding of the.*Set keep = \["topk:50", "embedding"\]'),
        (
            ['objective=[{name="logit_mse"}]'],
            r"needs logits of the teacher, and what is kept, topk:50, tells soft, top",
        ),
        (['objective=[{name="reverse_kl"}]', "teacher.keep=samples:9"], "needs top of the teacher.*samples:9"),
        (['objective=[{name="attention_kl", settings={pairs={"0"=0}}}]'], "are not kept.*take online"),
        (["teacher.keep=hidden:0"], "needs soft of the teacher, and what is kept, hidden:0, tells hidden"),
    ],
)
def test_what_is_not_kept_is_no_objectives_before_anything_is_asked(changes, message, tmp_path):
    recipe, _ = opened("offline", tmp_path, *changes)
    with pytest.raises(UsageError, match=message):
        make_objective(recipe, "my")


@pytest.mark.parametrize("name", ["response", "offline", "vision", "embeddings", "preference", "rationale"])
def test_what_training_rows_use_is_kept_of_a_narrower_student(name, tmp_path):
    changes = () if name in ("response", "vision", "embeddings") else (f"student.model={tmp_path / 'student'}",)
    recipe, rows = opened(name, tmp_path, *changes, "student.ffn=24")
    students = [make_student(recipe, rows).model for _ in range(2)]
    by_weights = make_student(opened(name, tmp_path, "student.ffn=24", "student.importance_rows=0")[0], rows).model
    mine, same, other = (model.state_dict() for model in (*students, by_weights))
    assert all(torch.equal(weight, same[key]) for key, weight in mine.items())
    assert {key: weight.shape for key, weight in mine.items()} == {key: weight.shape for key, weight in other.items()}
    assert any(not torch.equal(weight, other[key]) for key, weight in mine.items())


def test_silent_units_are_not_kept(tmp_path):
    recipe, rows = opened("response", tmp_path, "student.ffn=24", "student.importance_rows=7", "source.batch=4")
    folder = recipe.teacher.model
    teacher = BertForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        for block in teacher.bert.encoder.layer:
            block.intermediate.dense.weight[::2] = 0
            block.intermediate.dense.bias[::2] = 0
            block.output.dense.weight[:, ::2] = 99.0  # large weights that nothing is ever sent through
    teacher.save_pretrained(folder)
    kept = make_student(recipe, rows).model.bert.encoder.layer[0].output.dense.weight
    assert kept.abs().max() < 99


def test_a_student_is_cut_from_its_teacher_or_made_anew(tmp_path):
    recipe, rows = opened("response", tmp_path)
    student, teacher = make_student(recipe, rows), open_teachers(recipe)[0]
    assert len(student.model.bert.encoder.layer) == 2
    assert torch.equal(student.model.classifier.weight, teacher.model.classifier.weight)
    anew, _ = opened("response", tmp_path, "student.fresh=true")
    first, again, other = (make_student(anew, rows, number).model.classifier.weight for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, teacher.model.classifier.weight)


def test_an_encoder_gets_a_head_of_as_many_labels_as_there_are(tmp_path):
    recipe, rows = opened("self_ema", tmp_path)
    bare = write_model(tmp_path / "bare", "embedding")
    recipe = read_train_recipe(tmp_path / "recipe.toml", [*prepare("self_ema", tmp_path)[1], f"student.model={bare}"])
    student = make_student(recipe, rows)
    assert student.config.num_labels == 3
    save_student(recipe, tmp_path / "saved", student, make_task(recipe, rows, [student]))
    assert torch.equal(
        open_model(TaskName.CLASSIFICATION, str(tmp_path / "saved")).model.classifier.weight,
        student.model.classifier.weight,
    )


def test_labels_are_numbered_as_the_teacher_names_them(tmp_path):
    recipe, _ = opened("response", tmp_path)
    recipe.data.train.write_text('{"text": "refund", "label": "late"}\n{"text": "parcel", "label": "back"}\n')
    teacher = open_teachers(recipe)[0]
    teacher.model.config.id2label = {0: "late", 1: "now", 2: "back"}
    task = make_task(recipe, read_rows(recipe.data, recipe.task, 0), [teacher])
    assert task.labels[:, 0].tolist() == [0, 2]
    recipe.data.train.write_text('{"text": "refund", "label": 1}\n{"text": "parcel", "label": 3}\n')
    with pytest.raises(UsageError, match=r"label of .* is number 3; .* has 3 labels"):
        make_task(recipe, read_rows(recipe.data, recipe.task, 0), [teacher])


def test_models_must_read_alike_and_far_enough(tmp_path):
    recipe, rows = opened("online", tmp_path)
    teacher = open_teachers(recipe)[0]
    other = open_model(TaskName.CHAT, str(write_model(tmp_path / "other", "chat")))
    other.reader.add_tokens(["new"])
    task = make_task(recipe, rows, [teacher, other])
    with pytest.raises(UsageError, match=r"different tokenizers.*chunk_likelihood.*universal_logit"):
        make_teacher(recipe, task, [other], rows)
    pairs, _ = opened("preference", tmp_path)
    with pytest.raises(UsageError, match=r"have different tokenizers.*For the task preference"):
        make_task(pairs, rows, [teacher, other])
    long, _ = opened("online", tmp_path, "data.tokens=64")
    with pytest.raises(UsageError, match="data: tokens = 64 is more than the 40 positions of"):
        make_task(long, rows, [teacher])


def test_adapters_and_frozen_blocks():
    model = kinds.make("bert-classifier")
    ready_to_learn(model, StudentSection(freeze=1))
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert not any("word_embeddings" in name or "layer.0." in name for name in learns)
    assert any("layer.1." in name for name in learns)
    model = ready_to_learn(kinds.make("qwen2"), StudentSection(lora=4))
    assert adapters(model)
    assert all("lora" in name for name, weight in model.named_parameters() if weight.requires_grad)


def test_several_teachers_are_one(tmp_path):
    recipe, rows = opened("ensemble", tmp_path)
    teachers = open_teachers(recipe)
    task = make_task(recipe, rows, teachers)
    told = make_teacher(recipe, task, teachers).observe(task.batch([0, 1]), task_layers())
    both = [make_teacher(recipe, task, [one]).observe(task.batch([0, 1]), task_layers()).scores for one in teachers]
    mixed = 2 / 3 * both[0].softmax(-1) + 1 / 3 * both[1].softmax(-1)
    torch.testing.assert_close(told.scores.softmax(-1), mixed)
    assert make_teacher(recipe, task, []) is None


def test_a_teacher_with_another_tokenizer_reads_the_rows_in_its_own(tmp_path):
    recipe, rows = opened("cross_tokenizer", tmp_path)
    student, teachers = make_student(recipe, rows), open_teachers(recipe)
    task = make_task(recipe, rows, [student, *teachers])
    told = make_teacher(recipe, task, teachers).observe(task.batch([0, 1]), task_layers())
    assert told.scores.weight.shape[0] == len(teachers[0].reader)
    assert told.aligned.chunks > 2
    mixed = make_teacher(recipe, task, teachers * 2, rows).observe(task.batch([0, 1]), task_layers())
    where = told.aligned.labels >= 0
    torch.testing.assert_close(mixed.scores.logits()[where], told.scores.logits().log_softmax(-1)[where])
    own = open_model(TaskName.CHAT, str(write_model(tmp_path / "own", "chat")))
    with pytest.raises(UsageError, match="teachers have different tokenizers"):
        make_teacher(recipe, task, [*teachers, own], rows)
    kept, _ = opened("cross_tokenizer", tmp_path, "source.kind=on_policy")
    with pytest.raises(UsageError, match="here it is on_policy"):
        make_teacher(kept, task, teachers, rows)


def task_layers():
    from stillhouse.models.outputs import Layers

    return Layers()


def test_a_teacher_in_few_bits_writes_and_needs_its_package(tmp_path, monkeypatch):
    teacher = write_model(tmp_path, "chat")
    monkeypatch.setattr("stillhouse.models.load.missing", lambda packages: packages)
    with pytest.raises(MissingExtra, match="4 bits need the package bitsandbytes"):
        open_model(TaskName.CHAT, str(teacher), "int4")
