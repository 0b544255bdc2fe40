"""Students that learnt from a subject: found, marked, withdrawn on demand, and how to train them without it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import orjson

from stillhouse.bundle.erased import Mark, add_mark
from stillhouse.bundle.manifest import read_manifest
from stillhouse.data.versions import is_reference, parse_reference
from stillhouse.errors import BundleError
from stillhouse.recipes.datasets import LABELLED, PROJECT, ROWS
from stillhouse.reports.compression_record import RECORD as COMPRESSED
from stillhouse.storage.dataset_records import version_folder
from stillhouse.storage.store import Store
from stillhouse.storage.tuning_records import TunedModel

__all__ = ["Learner", "Left", "find_learners", "mark_learners", "write_retraining"]

HEAD = """\
# {title}
# It learnt from {data}, which lost {rows} rows of a person who was erased ({erasure}).
# Train it again without them:
#   {command}

"""
COMPRESSED_HEAD = """\
# {title}
# It was made smaller by {data}, which lost {rows} rows of a person who was erased ({erasure}).
# Compress the model that it was made from once more, by what is left of the rows. Where that model has learnt from the
# person too, train it again first.
{command}
"""


@final
@dataclass(frozen=True, slots=True)
class Learner:
    """A model that learnt from data of the subject."""

    name: str
    folder: Path
    kind: str
    """`bundle`, `run`, `job`, or whatever its use was noted as."""
    data: str
    """The version, or the id of the file."""
    rows: int
    job: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        told = {"name": self.name, "kind": self.kind, "folder": str(self.folder), "data": self.data, "rows": self.rows}
        return told | ({"job": self.job} if self.job else {})


@final
@dataclass(frozen=True, slots=True)
class Left:
    """What an erasure has left of the data of a project."""

    project: str
    successors: Mapping[str, str | None]
    """What versions and files have become; None: nothing is left."""

    def of(self, version: str, project: str | None = None) -> str | None:
        """How a version of a project, or of this one, is named that has not lost rows, or what took its place; None
        where nothing is left of it."""
        whose = self.project if project is None else project
        left = self.successors.get(version, version) if whose == self.project else version
        return left if left is None or whose == PROJECT else f"{whose}/{left}"


async def find_learners(
    store: Store, project: str, home: Path, versions: Mapping[str, int], files: Mapping[str, int]
) -> list[Learner]:
    """Who learnt from versions or files, which had so many rows of the subject; each with the first that it learnt."""
    found: dict[Path, Learner] = {}
    edges = [(name, number or 0) for name, number in map(parse_reference, versions)]
    for use in await store.datasets.uses(project, edges) if edges else []:
        folder, reference = Path(use.user), f"{use.version[0]}@{use.version[1]}"
        found.setdefault(folder, Learner(folder.name, folder, use.kind, reference, versions[reference]))
    for model, job, file in await _tuned(store, project, files):
        folder = home.absolute() / model.folder
        found.setdefault(folder, Learner(model.name, folder, "job", file, files[file], job))
    return list(found.values())


async def _tuned(store: Store, project: str, files: Mapping[str, int]) -> list[tuple[TunedModel, str, str]]:
    """The tuned models whose job learnt from one of some files, with the job and the file."""
    learnt: dict[str, str] = {}
    async for piece in store.traces.pieces(project, "job"):
        asked = cast("dict[str, Any]", orjson.loads(piece.content))
        for name in ("training_file", "validation_file"):
            if asked.get(name) in files:
                learnt.setdefault(piece.key[0], asked[name])
    models = await store.tuned.models(project)
    return [(model, model.job, learnt[model.job]) for model in models if model.job in learnt]


def mark_learners(
    learners: Sequence[Learner], erasure: str, when: str, successors: Mapping[str, str | None], withdraw: bool
) -> list[dict[str, Any]]:
    """Put a mark beside each; those whose folder is not here are told as not reached."""
    told: list[dict[str, Any]] = []
    for learner in learners:
        there = learner.folder.is_dir()
        successor = successors.get(learner.data)
        if there:
            add_mark(learner.folder, Mark(erasure, when, learner.data, learner.rows, successor, withdraw))
        told.append({**learner.to_json(), "marked": there, "withdrawn": there and withdraw, "successor": successor})
    return told


def write_retraining(
    folder: Path, learner: Learner, erasure: str, left: Left, request: Mapping[str, Any] | None = None
) -> str | None:
    """A recipe in a folder that trains a student again on what is left; the command that does it. None where nothing
    is left, or it is not known how it learnt.

    `request` is that of the job that made a tuned model. A compressed model has no recipe: its command is written down.
    """
    if left.successors.get(learner.data) is None:
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = _plain(learner.name)
    if request is not None:
        place = folder / f"{name}.json"
        place.write_bytes(orjson.dumps(dict(request), option=orjson.OPT_INDENT_2) + b"\n")
        return (
            f"curl $STILLHOUSE_URL/v1/fine_tuning/jobs -H 'content-type: application/json' "
            f'-H "authorization: Bearer $STILLHOUSE_API_KEY" -d @{place}'
        )
    if (learner.folder / COMPRESSED).is_file():
        command = _compress_command(learner, left)
        if command is not None:
            _write(folder / f"{name}.sh", COMPRESSED_HEAD, learner, erasure, command)
        return command
    place = folder / f"{name}.toml"
    if (learner.folder / "stillhouse.json").is_file():
        options, verb = _distill_options(learner, left), "distill --recipe"
    else:
        options, verb = _train_options(learner, left), "run"
    if options is None:
        return None
    command = f"stillhouse {verb} {place}"
    _write_toml(place, options, learner, erasure, command)
    return command


def _compress_command(learner: Learner, left: Left) -> str | None:
    """The command that compressed a model, with other rows and into another folder; None where it is not told, or
    there are no rows left to heal on."""
    record: Any = json.loads((learner.folder / COMPRESSED).read_text(encoding="utf-8"))
    told = [part for word in shlex.split(record["run"]["command"]) for part in _parts(word)]
    if told[:2] != ["stillhouse", "compress"]:
        return None
    words: list[str] = []
    for word in told:
        swapped = f"{learner.folder}-again" if words[-1:] in (["--out"], ["-o"]) else _swapped(word, left)
        if swapped is None:
            words.pop()  # the option whose rows are all gone
        else:
            words.append(swapped)
    return shlex.join(words) if "--data" in words else None


def _parts(word: str) -> list[str]:
    """An option and its value, where one word says both."""
    name, sign, value = word.partition("=")
    return [name, value] if sign and name.startswith("--") else [word]


def _distill_options(learner: Learner, left: Left) -> dict[str, Any] | None:
    """The options of `stillhouse distill` that made a bundle, as far as it tells them, with other traffic."""
    try:
        manifest = read_manifest(learner.folder)
    except BundleError:
        return None
    run, terms = manifest.run, dict(manifest.run.get("terms") or {})
    learnt = [(each["name"], each.get("project")) for each in run.get("datasets") or ()] or [(learner.data, None)]
    traffic = [named for version, project in learnt if (named := left.of(version, project)) is not None]
    options: dict[str, Any] = {"traffic": traffic, "out": f"{learner.folder}-again", "name": manifest.name}
    options |= {"student": manifest.student, "seed": run.get("seed", 0), "freeze": run.get("freeze", 0)}
    options["encoder"] = run.get("encoder", "auto")
    options |= {key: float(terms[key]) for key in ("margin", "risk", "confidence") if key in terms}
    if run.get("left_out"):
        options["skip_bad_rows"] = True
    return options


def _train_options(learner: Learner, left: Left) -> dict[str, Any] | None:
    """The recipe of a training run as its record has it, with other data."""
    place = learner.folder / "record.json"
    if not place.is_file():
        return None
    recipe: Any = json.loads(place.read_text(encoding="utf-8")).get("recipe")
    if not isinstance(recipe, dict):
        return None
    options = cast("dict[str, Any]", _without_nulls(recipe))
    data = cast("dict[str, Any]", options.get("data") or {})
    swapped = {key: _swapped(value, left) for key, value in data.items()}
    options["data"] = {key: value for key, value in swapped.items() if value is not None}
    options["out"] = f"{learner.folder}-again"
    return options


def _swapped(value: Any, left: Left) -> Any:
    """What stands for a version, by its name or by the file that held its rows, in the place of it."""
    versions = filter(is_reference, left.successors)
    return next((left.of(each) for each in versions if isinstance(value, str) and _means(value, left, each)), value)


def _means(value: str, left: Left, version: str) -> bool:
    """Whether a setting names a version of the project that lost rows, or a file that holds its rows."""
    name, number = parse_reference(version)
    file = Path(value)
    in_folder = file.parts[-5:-1] == Path(version_folder(left.project, (name, number or 0))).parts
    known = {f"{left.project}/{version}", *([version] if left.project == PROJECT else [])}
    return value in known or (in_folder and file.name in (ROWS, LABELLED))


def _without_nulls(value: Any) -> Any:
    """A value without nulls, which TOML has not; empty tables go with them."""
    if isinstance(value, dict):
        parts = {key: _without_nulls(each) for key, each in cast("dict[str, Any]", value).items() if each is not None}
        return {key: each for key, each in parts.items() if each != {}}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[Any]", value) if each is not None]
    return value


def _write_toml(place: Path, options: Mapping[str, Any], learner: Learner, erasure: str, command: str) -> None:
    import tomlkit

    _write(place, HEAD, learner, erasure, command, tomlkit.dumps(dict(options)))


def _write(place: Path, head: str, learner: Learner, erasure: str, command: str, options: str = "") -> None:
    told = head.format(
        title=f"{learner.name} without a person", data=learner.data, rows=learner.rows, erasure=erasure, command=command
    )
    waiting = place.with_name(f".{place.name}.writing")
    waiting.write_text(told + options, encoding="utf-8")
    waiting.replace(place)


def _plain(name: str) -> str:
    """A name that a file can have everywhere."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name) or "student"
