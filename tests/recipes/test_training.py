"""Recipes as files: places, changes from the command line, and what is refused by file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.sections import SourceKind
from stillhouse.recipes.training import read_train_recipe

RECIPE = """
task = "classification"
out = "student"
[data]
train = "rows.jsonl"
[teacher]
model = "teacher"
[[objective]]
name = "forward_kl"
settings = { temperature = 2 }
"""


def written(folder: Path, text: str = RECIPE) -> Path:
    (folder / "my.toml").write_text(text)
    return folder / "my.toml"


def test_paths_are_relative_to_the_file_and_models_where_there_is_such_a_folder(tmp_path):
    recipe = read_train_recipe(written(tmp_path))
    assert (recipe.out, recipe.data.train) == (tmp_path / "student", tmp_path / "rows.jsonl")
    assert recipe.teacher.model == "teacher", "a hub id"
    (tmp_path / "teacher").mkdir()
    assert read_train_recipe(tmp_path / "my.toml").teacher.model == str(tmp_path / "teacher")
    several = RECIPE.replace('model = "teacher"', 'models = ["teacher", "org/other"]')
    recipe = read_train_recipe(written(tmp_path, several))
    assert recipe.teacher.names == (str(tmp_path / "teacher"), "org/other")


def test_few_bits_are_for_teachers_that_write(tmp_path):
    with pytest.raises(UsageError, match="int4 weights are for teachers that write; for classification take bf16"):
        read_train_recipe(written(tmp_path, RECIPE), ["teacher.precision=int4"])


def test_the_command_line_overrules(tmp_path):
    changes = [
        "training.epochs=7",
        "data.train=/data/x.jsonl",
        "student.layers=[0, 2]",
        "objective.0.weight=0.5",
        "source.kind=offline",
        "teacher.keep=samples:20",
    ]
    recipe = read_train_recipe(written(tmp_path), changes, Path("there"))
    assert (recipe.training.epochs, recipe.data.train, recipe.out) == (7, Path("/data/x.jsonl"), Path("there"))
    assert (recipe.student.layers, recipe.objective[0].weight) == ((0, 2), 0.5)
    assert (recipe.source.kind, recipe.keep.words) == (SourceKind.OFFLINE, ("samples:20",))
    assert recipe.student.cut


MIXED = ('teacher={models=["a", "b"]}',)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.epoch=3"], r"my\.toml: training sets 'epoch'.*Did you mean 'epochs'\?"),
        (["trainin.epochs=3"], r"my\.toml sets 'trainin'.*Did you mean 'training'\?"),
        (["task=clasification"], r"my\.toml: task = 'clasification' is none of.*Did you mean 'classification'\?"),
        (["source.kind=ofline"], r"my\.toml: source: kind = 'ofline'.*Did you mean 'offline'\?"),
        (["data.counts=answer"], r"my\.toml: data: counts = 'answer'.*Did you mean 'answers'\?"),
        (["training.precision=bf166"], r"my\.toml: training: precision = 'bf166'.*Did you mean 'bf16'\?"),
        (["training.epochs=0"], r"my\.toml: training: epochs must be 1 or more; it is 0"),
        (["training.epochs=two"], r"my\.toml: training: epochs = 'two' must be a whole number"),
        (["teacher.keep=top:50"], r"my\.toml: teacher: keep = 'top:50' is none of"),
        (["teacher.models=['a']"], r"my\.toml: teacher: .*both `model` and `models`"),
        (["source.kind=exits"], r"my\.toml: source: .*exits = \[1, 3\]"),
        (["source.kind=on_policy"], r"my\.toml: An on-policy student writes text"),
        (["source.kind=mutual"], r"my\.toml: Peers that start alike.*student\.fresh"),
        (["task=embedding", "source.kind=ema"], r"my\.toml: Vectors are learnt from a teacher beside.*not from ema\."),
        (["task=embedding", "source.kind=offline", "teacher.keep=topk:5"], r"my\.toml: Encoders of sentences give no"),
        (
            ["source.kind=offline", *MIXED, 'teacher.keep=["topk:5", "hidden:1"]'],
            r"my\.toml: Several teachers are mixed",
        ),
        (["source.kind=offline", "data.flip=true"], r"my\.toml: Signals are kept of pictures as they are"),
        (["objective=[]"], r"my\.toml: The recipe has no objective"),
        (["student.lora=8", "student.freeze=2"], r"my\.toml: student: With `lora`"),
        (["teacher.model=3"], r"my\.toml: teacher: model = 3 must be a text"),
        (["training"], r"--set training is not key=value"),
        (["objective.4.weight=1"], r"--set objective\.4\.weight=1"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(changes, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        read_train_recipe(written(tmp_path), changes)


def test_a_student_or_a_teacher_must_be_named(tmp_path):
    text = RECIPE.replace('model = "teacher"', "")
    with pytest.raises(UsageError, match="An online source needs a teacher"):
        read_train_recipe(written(tmp_path, text))
    with pytest.raises(UsageError, match="names no student"):
        read_train_recipe(written(tmp_path, text), ["source.kind=offline"])


def test_what_is_kept_follows_the_task_where_it_is_not_said(tmp_path):
    offline = ["source.kind=offline"]
    assert read_train_recipe(written(tmp_path), offline).keep.words == ("topk:50",)
    recipe = read_train_recipe(written(tmp_path), [*offline, "task=embedding"])
    assert (recipe.keep.words, recipe.reads_signals) == (("embedding",), True)
    assert not read_train_recipe(written(tmp_path)).reads_signals
    text = RECIPE.replace('model = "teacher"', "")
    with pytest.raises(UsageError, match="not from offline alone"):
        read_train_recipe(written(tmp_path, text), [*offline, "task=embedding", "student.model=a"])


PAIRS = ["task=preference", "student.model=student", 'objective=[{name="dpo"}]']


def test_preferences_need_no_teacher_but_only_one_reference(tmp_path):
    without = RECIPE.replace('[teacher]\nmodel = "teacher"\n', "")
    assert read_train_recipe(written(tmp_path, without), PAIRS).teacher.names == ()
    assert read_train_recipe(written(tmp_path), PAIRS).teacher.names == ("teacher",)
    for changes, message in (
        (["source.kind=offline"], "not from offline signals"),
        (["source.kind=ema"], r"not from ema\."),
        (['teacher={models=["a", "b"]}'], "one reference: set teacher.model, or name no teacher"),
    ):
        with pytest.raises(UsageError, match=message):
            read_train_recipe(written(tmp_path), [*PAIRS, *changes])


def test_two_prefixes_tell_two_questions_apart(tmp_path):
    changes = ["task=rationale", 'data.prefixes=["answer: ", "why: "]']
    assert read_train_recipe(written(tmp_path), changes).data.prefixes == ("answer: ", "why: ")
    for prefixes in ('["a", "a"]', '["a"]', '["a", "b", "c"]'):
        with pytest.raises(UsageError, match="Two prefixes tell two questions apart"):
            read_train_recipe(written(tmp_path), [f"data.prefixes={prefixes}"])


API = 'teacher.api={url="http://localhost:8000/v1", model="large"}'


def test_a_teacher_behind_an_api_gives_words(tmp_path):
    without = RECIPE.replace('[teacher]\nmodel = "teacher"\n', "")
    alone = [API, "student.model=student"]
    recipe = read_train_recipe(written(tmp_path, without), [*alone, "source.kind=offline"])
    assert (recipe.teacher.api.model, recipe.teacher.names) == ("large", ())
    assert read_train_recipe(written(tmp_path), [API]).teacher.names == ("teacher",), "another teacher beside it"
    for changes, message in (
        (alone, r"gives words, for an offline source; online needs teacher\.model"),
        ([*alone, "task=image"], "speaks of chat, classification and rationales, not image"),
        ([*alone, "teacher.api.modle=a"], "teacher: api sets 'modle'.*Did you mean 'model'"),
    ):
        with pytest.raises(UsageError, match=message):
            read_train_recipe(written(tmp_path, without), changes)
