"""A promptfoo configuration as evals: tests become rows, assertions criteria, prompts and providers runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, final

import yaml

from stillhouse.errors import TrafficError

__all__ = ["Imported", "read_promptfoo"]

CHECKS = {"equals": "eq", "not-equals": "ne", "contains": "like", "icontains": "ilike"}
METRICS = {"similar": ("cosine", 0.75), "rouge-n": ("rouge_1", 0.75), "bleu": ("bleu", 0.5), "gleu": ("gleu", 0.5)}
"""Assertions that compare texts: the metric, and promptfoo's threshold when none is named."""
RUBRICS = ("llm-rubric", "model-graded-closedqa")
KNOWN = (*CHECKS, *METRICS, *RUBRICS)

VARIABLE = re.compile(r"\{\{\s*([\w.\[\]]+)\s*\}\}")
JUDGE = (
    "You judge whether an answer satisfies a rubric. The rubric: {rubric}\n"
    "Choose 'pass' when the answer satisfies it, and 'fail' when it does not."
)

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """One eval: the JSON that asks for it, its rows, and the runs to begin, each with its model and prompt."""

    body: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    """A run's JSON but for the source of its rows."""


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a test asserts: its type, a value that may hold variables, and a threshold."""

    kind: str
    value: str
    threshold: float | None


def read_promptfoo(path: Path, judge: str | None = None) -> list[Imported]:
    """The evals of a configuration in YAML or JSON, one for each set of assertions that tests share.

    `judge` is the model that grades rubrics. Raises TrafficError with file and line for what has no counterpart here.
    """
    config = Config(path)
    tests = config.tests()
    groups: dict[tuple[tuple[str, float | None], ...], list[tuple[dict[str, Any], list[Assertion]]]] = {}
    for variables, assertions in tests:
        signature = tuple((each.kind, each.threshold) for each in assertions)
        groups.setdefault(signature, []).append((variables, assertions))
    if any(kind in RUBRICS for signature in groups for kind, _ in signature) and not judge:
        raise TrafficError(f"{path}: its rubrics are graded by a model. Name one that the server has with --judge.")
    found: list[Imported] = []
    for number, group in enumerate(groups.values(), 1):
        name = config.name if len(groups) == 1 else f"{config.name} ({number})"
        found.append(_imported(name, group, config.runs(), judge or ""))
    return found


@final
class Config:
    """A configuration, that knows on which line each of its parts stands."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            text = path.read_text(encoding="utf-8")
            loader: Any = yaml.SafeLoader(text)
            self._root: Any = loader.get_single_node()
            values: object = yaml.safe_load(text)
        except OSError as error:
            raise TrafficError(f"{path} cannot be read: {error.strerror}.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}, line {mark.line + 1}" if mark else f"{path}"
            raise TrafficError(
                f"{where}: this is neither YAML nor JSON ({getattr(error, 'problem', error)})."
            ) from error
        if not isinstance(values, dict):
            raise TrafficError(f"{path}: a configuration of promptfoo has prompts, providers and tests.")
        self._values = cast(dict[str, Any], values)
        self.name = str(self._values.get("description") or path.stem)

    def tests(self) -> list[tuple[dict[str, Any], list[Assertion]]]:
        """The variables and the assertions of each test, the defaults filled in."""
        tests = self._values.get("tests")
        if not isinstance(tests, list) or not tests:
            raise self.wrong(("tests",), "a list of tests is expected here; lists in other files must be put in")
        default = self._object(self._values.get("defaultTest") or {}, ("defaultTest",))
        found: list[tuple[dict[str, Any], list[Assertion]]] = []
        for number, test in enumerate(cast(list[Any], tests)):
            place: Place = ("tests", number)
            own = self._object(test, place)
            variables = {
                **self._object(default.get("vars") or {}, ("defaultTest", "vars")),
                **self._object(own.get("vars") or {}, (*place, "vars")),
            }
            assertions = [
                *self._assertions(default.get("assert") or [], ("defaultTest", "assert")),
                *self._assertions(own.get("assert") or [], (*place, "assert")),
            ]
            if not assertions:
                raise self.wrong(place, "the test asserts nothing, so that nothing would be graded")
            found.append((variables, assertions))
        return found

    def runs(self) -> list[dict[str, Any]]:
        """A run for each prompt and provider."""
        prompts = self._list("prompts")
        providers = self._list("providers") or self._list("targets")
        found: list[dict[str, Any]] = []
        for number, prompt in enumerate(prompts):
            label, template = self._prompt(prompt, ("prompts", number))
            for place, provider in enumerate(providers):
                model, sampling = self._provider(provider, ("providers", place))
                source: dict[str, Any] = {
                    "type": "completions",
                    "model": model,
                    "input_messages": {"type": "template", "template": template},
                }
                if sampling:
                    source["sampling_params"] = sampling
                found.append({"name": f"{label} - {model}", "data_source": source})
        return found

    def wrong(self, place: Place, reason: str) -> TrafficError:
        """The error for one part, with its line."""
        shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        return TrafficError(f"{self._path}, line {_line(self._root, place)}: {shown}: {reason}.")

    def _assertions(self, value: object, place: Place) -> list[Assertion]:
        if not isinstance(value, list):
            raise self.wrong(place, "a list of assertions is expected here")
        found: list[Assertion] = []
        for number, one in enumerate(cast(list[Any], value)):
            here = (*place, number)
            told = self._object(one, here)
            kind, expected = told.get("type"), told.get("value")
            if kind not in KNOWN:
                raise self.wrong(here, f"assertions of type {kind!r} have no grader here; known: {', '.join(KNOWN)}")
            if expected is None or isinstance(expected, list | dict):
                raise self.wrong(here, "a text or a number is expected as its value")
            threshold = told.get("threshold")
            if threshold is not None and not isinstance(threshold, int | float):
                raise self.wrong(here, "its threshold is no number")
            found.append(Assertion(kind, self._filled(str(expected), here), threshold))
        return found

    def _prompt(self, prompt: object, place: Place) -> tuple[str, list[dict[str, Any]]]:
        """A prompt's label and messages."""
        label = None
        if isinstance(prompt, dict):
            told = cast(dict[str, Any], prompt)
            label, prompt = told.get("label"), told.get("raw") or told.get("id")
        if not isinstance(prompt, str):
            raise self.wrong(place, "a prompt is a text")
        if prompt.startswith("file://"):
            prompt = self._file(prompt.removeprefix("file://"), place)
        text = self._filled(prompt, place)
        messages: object = None
        if text.lstrip().startswith("["):
            try:
                messages = json.loads(text)
            except ValueError:
                messages = None
        if not isinstance(messages, list):
            messages = [{"role": "user", "content": text}]
        return str(label or f"prompt {cast(int, place[-1]) + 1}"), cast(list[dict[str, Any]], messages)

    def _file(self, name: str, place: Place) -> str:
        file = (self._path.parent / name).resolve()
        if not file.is_relative_to(self._path.parent.resolve()):
            raise self.wrong(place, f"{name} lies outside of the folder of the configuration")
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self.wrong(place, f"{name} cannot be read as text") from error

    def _provider(self, provider: object, place: Place) -> tuple[str, dict[str, Any]]:
        """A provider's model, and how it is sampled."""
        settings: dict[str, Any] = {}
        if isinstance(provider, dict):
            told = cast(dict[str, Any], provider)
            provider, settings = told.get("id"), self._object(told.get("config") or {}, (*place, "config"))
        if not isinstance(provider, str) or provider.startswith(("file://", "exec:", "python:")):
            raise self.wrong(place, "only providers that name a model can be run here")
        names = {"temperature": "temperature", "top_p": "top_p", "seed": "seed", "max_tokens": "max_completion_tokens"}
        return provider.rpartition(":")[2], {ours: settings[name] for name, ours in names.items() if name in settings}

    def _filled(self, text: str, place: Place) -> str:
        """A text whose variables are those of an eval's item; raises TrafficError for what is more than a variable."""
        rest = VARIABLE.sub("", text)
        if "{{" in rest or "{%" in rest:
            raise self.wrong(place, "its template has expressions, and only variables can be filled in here")
        return VARIABLE.sub(lambda match: "{{item." + match[1] + "}}", text)

    def _list(self, name: str) -> list[Any]:
        value: object = self._values.get(name) or []
        return cast(list[Any], value) if isinstance(value, list) else [value]

    def _object(self, value: object, place: Place) -> dict[str, Any]:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in cast(dict[object, Any], value)):
            raise self.wrong(place, "an object is expected here")
        return cast(dict[str, Any], value)


def _imported(
    name: str, group: list[tuple[dict[str, Any], list[Assertion]]], runs: list[dict[str, Any]], judge: str
) -> Imported:
    """The eval of tests that assert alike; values that differ from test to test go into the rows."""
    rows = [dict(variables) for variables, _ in group]
    criteria: list[dict[str, Any]] = []
    for number, first in enumerate(group[0][1]):
        values = [assertions[number].value for _, assertions in group]
        reference = first.value
        if len(set(values)) > 1:
            reference = f"{{{{item.expected_{number + 1}}}}}"
            for row, value in zip(rows, values, strict=True):
                row[f"expected_{number + 1}"] = VARIABLE.sub(lambda found, row=row: _looked_up(found[1], row), value)
        criteria.append(_criterion(f"{first.kind} {number + 1}", first, reference, judge))
    names = sorted({key for row in rows for key in row})
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {key: {} for key in names},
        "required": [key for key in names if all(key in row for row in rows)],
    }
    body: dict[str, Any] = {
        "name": name,
        "data_source_config": {"type": "custom", "item_schema": schema, "include_sample_schema": True},
        "testing_criteria": criteria,
    }
    return Imported(body, [{"item": row} for row in rows], runs)


def _criterion(name: str, one: Assertion, reference: str, judge: str) -> dict[str, Any]:
    output = "{{sample.output_text}}"
    if one.kind in CHECKS:
        told = {"type": "string_check", "input": output, "operation": CHECKS[one.kind], "reference": reference}
    elif one.kind in METRICS:
        metric, usual = METRICS[one.kind]
        threshold = usual if one.threshold is None else one.threshold
        told = {
            "type": "text_similarity",
            "input": output,
            "reference": reference,
            "evaluation_metric": metric,
            "pass_threshold": threshold,
        }
    else:
        asked = [
            {"role": "developer", "content": JUDGE.format(rubric=reference)},
            {"role": "user", "content": output},
        ]
        told = {
            "type": "label_model",
            "model": judge,
            "input": asked,
            "labels": ["pass", "fail"],
            "passing_labels": ["pass"],
        }
    return {"name": name, **told}


def _looked_up(path: str, row: Mapping[str, Any]) -> str:
    """A variable of a row, `item.x`, as text; one that is not there stays as it was."""
    value = row.get(path.removeprefix("item."), None)
    return f"{{{{{path}}}}}" if value is None else str(value)


def _line(node: Any, place: Place) -> int:
    """The line, counted from 1, on which a part stands, or the innermost that is there around it."""
    for step in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            pairs = cast(list[tuple[Any, Any]], node.value)
            found = next((value for key, value in pairs if key.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            items = cast(list[Any], node.value)
            found = items[step] if step < len(items) else None
        if found is None:
            break
        node = found
    return node.start_mark.line + 1
