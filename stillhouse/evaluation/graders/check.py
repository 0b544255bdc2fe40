"""Whether a grader can work here: its templates, its formula, and what it needs, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillhouse.errors import FormulaError, TemplateError
from stillhouse.evaluation.graders.build import Means
from stillhouse.evaluation.graders.formula import Formula
from stillhouse.evaluation.templates import Step, places, read_path
from stillhouse.wire.errors import Unsupported
from stillhouse.wire.evals import Config, NewEval, NewRun
from stillhouse.wire.fields import wrong_value
from stillhouse.wire.graders import GraderSpec, LabelModel, Multi, Python, ScoreModel, StringCheck, TextSimilarity
from stillhouse.wire.prompts import PromptMessage

__all__ = ["Known", "check_eval", "check_grader", "check_prompt", "check_reference", "check_run"]


@dataclass(frozen=True, slots=True)
class Known:
    """What templates may name: the fields of an item, as its JSON Schema lists them, and whether there is a sample."""

    item_schema: Mapping[str, Any] | None = None
    sample: bool = True


def check_grader(spec: GraderSpec, path: str, means: Means, known: Known) -> None:
    """Raises WireError with the path of what cannot work; `path` is where the grader lies in the request.

    The source of a Python grader is not read here: only the sandbox does.
    """
    for where, template in _templates(spec, path):
        _check_template(template, where, known)
    match spec:
        case Multi():
            _check_formula(spec, path)
            for key, one in spec.graders.items():
                check_grader(one, f"{path}.graders.{key}", means, known)
        case TextSimilarity(metric="cosine") if means.embed is None:
            raise Unsupported(
                "The metric 'cosine' needs a local embedder, and none is configured.", f"{path}.evaluation_metric"
            )
        case Python() if means.sandbox is None:
            raise Unsupported("Python graders are not enabled on this server.", f"{path}.type")
        case _:
            pass


def check_eval(new: NewEval, means: Means) -> None:
    """Raises WireError when a criterion of an eval cannot work."""
    known = Known(new.config.item_schema, new.config.sample)
    for index, grader in enumerate(new.criteria):
        check_grader(grader, f"testing_criteria[{index}]", means, known)


def check_run(new: NewRun, config: Config) -> None:
    """Raises WireError when the prompt of a run is malformed, or names what its eval's items cannot have."""
    asking, known = new.source.asking, Known(config.item_schema, sample=False)
    if asking is None:
        return
    if isinstance(asking.prompt, str):
        check_reference(asking.prompt, "data_source.input_messages.item_reference", known)
    else:
        check_prompt(asking.prompt, "data_source.input_messages.template", known)


def check_prompt(prompt: Sequence[PromptMessage], path: str, known: Known) -> None:
    """Raises WireError when a message's template is malformed, or names what cannot be there."""
    for where, template in _of_prompt(prompt, path):
        _check_template(template, where, known)


def check_reference(reference: str, path: str, known: Known) -> None:
    """Raises WireError when a reference such as `item.input` is none, or names what cannot be there."""
    try:
        steps = read_path(reference)
    except TemplateError as error:
        raise wrong_value(path, f"'{reference}' is no path such as item.input") from error
    _check_place(steps, path, known)


def _templates(spec: GraderSpec, path: str) -> Iterator[tuple[str, str]]:
    """Every template of a grader, with its path."""
    match spec:
        case StringCheck() | TextSimilarity():
            yield f"{path}.input", spec.input
            yield f"{path}.reference", spec.reference
        case LabelModel() | ScoreModel():
            yield from _of_prompt(spec.prompt, f"{path}.input")
        case Python() | Multi():
            return


def _of_prompt(prompt: Sequence[PromptMessage], path: str) -> Iterator[tuple[str, str]]:
    for index, message in enumerate(prompt):
        for part in message.parts:
            yield f"{path}[{index}].content", part.text


def _check_template(template: str, path: str, known: Known) -> None:
    try:
        for steps in places(template):
            _check_place(steps, path, known)
    except TemplateError as error:
        raise wrong_value(path, str(error).removesuffix(".")) from error


def _check_place(steps: Sequence[Step], path: str, known: Known) -> None:
    namespace, field = steps[0], steps[1]
    if namespace == "sample" and not known.sample:
        words = "it names the sample, and there is none: evals have one with 'include_sample_schema', prompts never"
        raise wrong_value(path, words)
    schema = known.item_schema or {}
    properties: Any = schema.get("properties")
    if namespace == "item" and schema.get("additionalProperties") is False and field not in (properties or [field]):
        raise wrong_value(path, f"the item's schema has no '{field}'")


def _check_formula(spec: Multi, path: str) -> None:
    try:
        Formula.read(spec.formula, spec.graders.keys())
    except FormulaError as error:
        raise wrong_value(f"{path}.calculate_output", str(error).removesuffix(".")) from error
