"""Terms of runs: known from the database and from stillhouse.toml; a run that they forbid does not begin."""

from __future__ import annotations

import asyncio
import json

import pytest

from stillhouse.data.catalogue import Catalogue, Step
from stillhouse.data.items import Item, Kind, Source
from stillhouse.data.terms import Terms, Use
from stillhouse.errors import TermsForbid, UsageError
from stillhouse.recipes.server import FILE
from stillhouse.recipes.terms import (
    attributions,
    check_asked,
    check_data,
    check_served,
    check_training,
    known_terms,
    teachers_of_data,
    terms_beside,
    terms_told,
)
from stillhouse.recipes.training import read_train_recipe
from stillhouse.storage.store import Store
from tests.recipes.runs import LABELS, WORDS, calls, run, write

TOML = """
[teachers.big]
base_url = "https://example.com/v1"
models = { large = "big-1" }

[teachers.big.terms]
allowed = ["evaluate", "serve"]
source = "https://example.com/terms"
"""


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / FILE).write_text(TOML)
    return home


@pytest.fixture
def traffic(tmp_path):
    return write(tmp_path / "calls.jsonl", [{**row, "model": "big-1"} for row in calls(LABELS, 30)])


def test_terms_of_the_file_hold_without_a_database(home, traffic):
    assert set(known_terms(home).terms) == {"big"}
    with pytest.raises(TermsForbid, match="30 rows were answered by big-1: its terms allow evaluate, serve, not train"):
        check_data([traffic], Use.TRAIN, home)
    assert check_data([traffic], Use.EVALUATE, home) == []


def test_without_any_terms_nothing_is_read(tmp_path):
    assert check_data([tmp_path / "none.jsonl"], Use.TRAIN, tmp_path / "home") == []


def test_the_file_goes_before_the_database(home):
    async def put():
        store = await Store.open(None, home)
        await store.teacher_terms.put("big", Terms("big").to_json())
        await store.teacher_terms.put("small", Terms("small").to_json())
        await store.close()

    asyncio.run(put())
    terms = known_terms(home).terms
    assert set(terms) == {"big", "small"}
    assert terms["big"].allowed == (Use.EVALUATE, Use.SERVE)


def test_versions_of_datasets_are_counted_by_who_answered(home):
    async def add():
        store = await Store.open(None, home)
        items = [
            Item(Kind.TEXT, ({"role": "user", "content": str(n)},), source=Source(teacher="big")) for n in range(4)
        ]
        version = await Catalogue(store, home, "default").add("mail", items, Step("import"))
        await store.close()
        return version.path

    path = asyncio.run(add())
    assert teachers_of_data(["mail@1"], home, None, "default") == {"big": 4}
    assert teachers_of_data([path], home, None, "default") == {"big": 4}


def test_wrong_terms_in_the_file_are_told(home):
    (home / FILE).write_text(TOML.replace('"evaluate"', '"sell"'))
    with pytest.raises(UsageError, match=r"terms: allowed\[0\] = 'sell' is none of train, evaluate"):
        known_terms(home)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_forbidden_distillation_does_not_begin(home, traffic, tmp_path, dry):
    done = run("distill", traffic, "--out", tmp_path / "student", *WORDS, "--home", home, *dry)
    assert done.code == 1
    assert "30 rows were answered by big-1" in done.err
    assert "https://example.com/terms" in done.err
    assert not (tmp_path / "student").exists()
    assert not (home / "stages").exists()


def test_a_recipe_that_would_ask_a_forbidden_teacher_is_refused(home, traffic, tmp_path):
    recipe = tmp_path / "my.toml"
    recipe.write_text(
        f"""
        task = "classification"
        out = "{tmp_path / "out"}"
        [data]
        train = "{tmp_path / "plain.jsonl"}"
        [teacher.api]
        url = "https://example.com/v1"
        model = "large"
        [student]
        model = "none"
        [source]
        kind = "offline"
        [[objective]]
        name = "response.CrossEntropy"
        """
    )
    write(tmp_path / "plain.jsonl", calls(LABELS, 3))
    with pytest.raises(TermsForbid, match="large is asked: its terms allow"):
        check_training(read_train_recipe(recipe, [], None), home)


def test_a_teacher_is_known_by_its_name_or_by_its_model(home):
    for names in (("big", "big-9"), ("example.com", "large")):
        with pytest.raises(TermsForbid, match="is asked: its terms allow evaluate, serve"):
            check_asked(names, Use.TRAIN, home)
    [note] = check_asked(("example.com", "small"), Use.TRAIN, home)
    assert "example.com is asked; its terms are not known here" in note


def test_the_model_card_lists_the_terms(home, traffic, tmp_path):
    (home / FILE).write_text(TOML.replace('"serve"]', '"serve", "train"]\nattribution = "Made with Big"'))
    [told] = terms_told([traffic], home)
    assert (told.name, told.rows, told.allowed) == ("big-1", 30, ("evaluate", "serve", "train"))
    rows = [{**row, "model": "big-1"} for row in calls(LABELS, 240)]
    done = run("distill", write(traffic, rows), "--out", tmp_path / "student", *WORDS, "--home", home)
    assert done.code == 0, done.err
    card = (tmp_path / "student" / "README.md").read_text()
    assert "## On whose terms" in card
    assert "| big-1 | 240 | evaluate, serve, train |" in card
    assert "Made with Big" in card
    assert check_served([tmp_path / "student"], home, None) == []
    (home / FILE).write_text(TOML.replace('"serve"', '"train"'))
    with pytest.raises(
        TermsForbid, match="240 rows were answered by big-1: its terms allow evaluate, train, not serve"
    ):
        check_served([tmp_path / "student"], home, None)
    refused = run("serve", "--model", tmp_path / "student", "--home", home, "--port", "0")
    assert refused.code == 1
    assert "The use `serve` is forbidden" in refused.err
    made = run("export", tmp_path / "student", "--to", "onnx", "--out", tmp_path / "onnx")
    assert made.code == 0, made.err
    assert "Attribution that must go with it, for the answers of big-1: Made with Big" in made.out
    exported = json.loads((tmp_path / "onnx" / "export.json").read_text())
    assert [(each["name"], each["rows"]) for each in exported["terms"]] == [("big-1", 240)]


def test_a_student_is_not_served_where_any_of_its_teachers_forbids_it(home, traffic, tmp_path):
    (home / FILE).write_text(TOML.replace('"serve"]', '"train"]'))
    rows = [{**row, "model": "big-1" if number % 5 < 2 else "small"} for number, row in enumerate(calls(LABELS, 240))]
    done = run("distill", write(traffic, rows), "--out", tmp_path / "student", *WORDS, "--home", home)
    assert done.code == 0, done.err
    with pytest.raises(TermsForbid, match="96 rows were answered by big-1: its terms allow evaluate, train, not serve"):
        check_served([tmp_path / "student"], home, None)


def test_the_data_sheet_and_the_record_tell_the_terms_of_each_of_several_teachers(home, traffic):
    (home / FILE).write_text(TOML.replace('"serve"]', '"serve", "train"]\nattribution = "Made with Big"'))
    write(traffic, [{**row, "teacher": "small+big-1"} for row in calls(LABELS, 6)])
    told = terms_told([traffic], home, ["large"])
    assert {each.name: (each.rows, each.attribution) for each in told} == {
        "small": (6, ""),
        "big-1": (6, "Made with Big"),
        "large": (0, "Made with Big"),
    }
    assert attributions([{"name": each.name, "attribution": each.attribution} for each in told[:2]]) == [
        "Attribution that must go with it, for the answers of big-1: Made with Big"
    ]


def test_terms_of_the_database_hold_for_the_models_of_a_teacher_of_the_file(home):
    (home / FILE).write_text('[teachers.big]\nbase_url = "https://example.com/v1"\nmodels = { large = "big-1" }\n')

    async def put():
        store = await Store.open(None, home)
        await store.teacher_terms.put("big", Terms("big", (Use.EVALUATE,)).to_json())
        await store.close()

    asyncio.run(put())
    for name in ("big", "large", "big-1", "big/big-1"):
        with pytest.raises(TermsForbid, match=f"{name} is asked: its terms allow evaluate, not train"):
            check_asked([name], Use.TRAIN, home)


def test_a_student_of_a_dataset_names_who_answered(home, tmp_path):
    rows = [{**row, "teacher": "other", "x_model": "big-1"} for row in calls(LABELS, 3)]
    assert teachers_of_data([write(tmp_path / "a.jsonl", rows)], home, None, "default") == {"other": 3}
    rows = [{**row, "x_model": "big-1"} for row in calls(LABELS, 3)]
    assert teachers_of_data([write(tmp_path / "b.jsonl", rows)], home, None, "default") == {"big-1": 3}


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"terms": {"margin": 0.02}}', '{"terms": ["x"]}'])
def test_a_folder_whose_record_tells_no_terms_has_none(tmp_path, content):
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    assert terms_beside(tmp_path) == ()
