"""Tables become frozen dataclasses, or one clear message says which key is wrong and what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.recipes.toml import fill, read_toml


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Outer:
    name: str
    layers: int | tuple[int, ...] | None = None
    colour: Colour = Colour.RED
    place: Path | None = None
    deep: bool = False
    inner: Inner = field(default_factory=Inner)
    several: tuple[Inner, ...] = ()


def test_a_table_fills_its_fields(tmp_path):
    (tmp_path / "recipe.toml").write_text(
        'name = "x"\nlayers = [0, 2]\ncolour = "green"\nplace = "a/b"\ndeep = true\n'
        "[inner]\nrate = 1\n[[several]]\nrate = 2.5\n[[several]]\n"
    )
    filled = fill(Outer, read_toml(tmp_path / "recipe.toml"), "recipe")
    assert filled == Outer("x", (0, 2), Colour.GREEN, Path("a/b"), True, Inner(1.0), (Inner(2.5), Inner()))
    assert isinstance(filled.inner.rate, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, r"recipe lacks 'name'\. It knows colour, deep"),
        ({"name": "x", "layer": 3}, r"recipe sets 'layer', which it does not know\. Did you mean 'layers'\?"),
        ({"name": "x", "inner": {"rote": 1}}, r"recipe: inner sets 'rote'.*Did you mean 'rate'\?"),
        ({"name": "x", "zzz": 1}, r"recipe sets 'zzz', which it does not know\. It knows colour"),
        ({"name": 3}, r"recipe: name = 3 must be a text"),
        ({"name": "x", "deep": 1}, r"recipe: deep = 1 must be true or false"),
        ({"name": "x", "layers": "3"}, r"recipe: layers = '3' must be a whole number or a list"),
        ({"name": "x", "layers": [1, "2"]}, r"recipe: layers = \[1, '2'\] must be a whole number or a list"),
        ({"name": "x", "colour": "grene"}, r"'grene' is none of red, green\. Did you mean 'green'\?"),
        ({"name": "x", "inner": 3}, r"recipe: inner must be a table; it is 3"),
        ({"name": "x", "several": {"rate": 1}}, r"recipe: several must be a list"),
        ({"name": "x", "inner": {"rate": True}}, r"inner: rate = True must be a number"),
    ],
)
def test_what_is_wrong_is_named(table, message):
    with pytest.raises(UsageError, match=message):
        fill(Outer, table, "recipe")


@pytest.mark.parametrize(("content", "message"), [(b"a = ", "is not TOML"), (b"\xff", "is not TOML")])
def test_what_is_no_toml_is_said(content, message, tmp_path):
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_toml(tmp_path / "recipe.toml")


def test_so_is_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")


@dataclass(frozen=True)
class Mapped:
    pairs: Mapping[int, int]
    learnt: dict = field(default_factory=dict, init=False)

    def __post_init__(self):
        if 7 in self.pairs:
            raise UsageError("There is no seventh.")


def test_a_map_of_layers_is_a_table_of_numbers():
    assert fill(Mapped, {"pairs": {"0": 0, "-1": 5}}, "recipe").pairs == {0: 0, -1: 5}
    for wrong in ({}, {"a": 1}, {"0": "x"}, {"0": True}, [0, 1]):
        with pytest.raises(UsageError, match=r"recipe: pairs must be a table of whole numbers, such as \{ \"0\" = 0"):
            fill(Mapped, {"pairs": wrong}, "recipe")


def test_what_the_dataclass_refuses_is_told_with_its_place_and_inner_fields_are_no_keys():
    with pytest.raises(UsageError, match=r"recipe: There is no seventh\."):
        fill(Mapped, {"pairs": {"7": 0}}, "recipe")
    with pytest.raises(UsageError, match="sets 'learnt', which it does not know"):
        fill(Mapped, {"pairs": {"1": 0}, "learnt": {}}, "recipe")


@dataclass(frozen=True)
class Named:
    rooms: Mapping[str, Inner] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def test_a_table_may_hold_names_that_its_writer_chooses():
    filled = fill(Named, {"rooms": {"a": {"rate": 2}, "b c": {}}, "words": {"x": "y"}}, "file")
    assert filled == Named({"a": Inner(2.0), "b c": Inner()}, {"x": "y"})
    for table, message in (
        ({"rooms": {"a": {"rote": 1}}}, r"file: rooms\.a sets 'rote'.*Did you mean 'rate'"),
        ({"words": {"x": 1}}, r"file: words\.x = 1 must be a text"),
        ({"words": []}, "file: words must be a table"),
    ):
        with pytest.raises(UsageError, match=message):
            fill(Named, table, "file")
