"""The JSON of graders: what judges an answer and when it passes, read strictly and echoed with what was resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from stillhouse.wire.errors import WireError
from stillhouse.wire.fields import Fields, one_of, read_body, writable, wrong_value
from stillhouse.wire.prompts import PromptMessage, echo_message, read_prompt
from stillhouse.wire.samples import Sample, Sampling, Tokens, read_sampling, sample_of_text

__all__ = [
    "DETAILS",
    "FLAGS",
    "METRICS",
    "OPERATIONS",
    "GraderSpec",
    "LabelModel",
    "Multi",
    "Place",
    "Python",
    "Ran",
    "ScoreModel",
    "StringCheck",
    "TextSimilarity",
    "ToRun",
    "read_grader",
    "read_grader_run",
    "read_grader_validation",
    "write_grader",
    "write_grader_run",
    "write_grader_validation",
]

Place = Literal["eval", "api"]
"""Where a grader is used: as a criterion of an eval, or on its own in the graders API and fine-tuning."""

OPERATIONS = ("eq", "ne", "like", "ilike")
METRICS = (
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "cosine",
    *(f"rouge_{size}" for size in (1, 2, 3, 4, 5)),
    "rouge_l",
)
LONGEST_SOURCE = 256 * 1024
FLAGS = (
    "formula_parse_error",
    "sample_parse_error",
    "truncated_observation_error",
    "unresponsive_reward_error",
    "invalid_variable_error",
    "other_error",
    "python_grader_server_error",
    "python_grader_runtime_error",
    "model_grader_server_error",
    "model_grader_refusal_error",
    "model_grader_parse_error",
)
DETAILS = (
    "python_grader_server_error_type",
    "python_grader_runtime_error_details",
    "model_grader_server_error_details",
)


@dataclass(frozen=True, slots=True)
class StringCheck:
    """Compares two texts: equal, unequal, or one within the other."""

    name: str
    input: str
    reference: str
    operation: Literal["eq", "ne", "like", "ilike"]


@dataclass(frozen=True, slots=True)
class TextSimilarity:
    """How alike two texts are, from 0 to 1."""

    name: str
    input: str
    reference: str
    metric: str
    pass_threshold: float


@dataclass(frozen=True, slots=True)
class LabelModel:
    """A model picks one of some labels."""

    name: str
    model: str
    prompt: tuple[PromptMessage, ...]
    labels: tuple[str, ...]
    passing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreModel:
    """A model gives a number within a range."""

    name: str
    model: str
    prompt: tuple[PromptMessage, ...]
    range: tuple[float, float]
    pass_threshold: float
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Python:
    """A function `grade(sample, item)` written in Python."""

    name: str
    source: str
    pass_threshold: float
    image_tag: str | None = None


@dataclass(frozen=True, slots=True)
class Multi:
    """Several graders, and a formula over their scores."""

    name: str
    graders: Mapping[str, GraderSpec]
    formula: str


GraderSpec = StringCheck | TextSimilarity | LabelModel | ScoreModel | Python | Multi


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of running one grader on one sample."""

    reward: float
    """0 where no grade could be given: `faults` says so."""
    scores: Mapping[str, float]
    """By the key of each grader of a multi grader."""
    tokens: Mapping[str, Tokens]
    """By the model that judged."""
    faults: Mapping[str, str]
    """What went wrong, by the flags of OpenAI's answer, each with its details."""
    seconds: float


@dataclass(frozen=True, slots=True)
class ToRun:
    """A grader to run on one sample."""

    grader: GraderSpec
    sample: Sample
    item: Mapping[str, Any]


def read_grader_run(body: bytes) -> ToRun:
    """What the graders API is to run: a grader, a sample's text, and an item, empty when absent; raises WireError."""
    fields = read_body(body)
    grader = read_grader(fields.need("grader"), "grader", "api")
    return ToRun(grader, sample_of_text(fields.text("model_sample")), writable(fields.inner_or_empty("item")))


def read_grader_validation(body: bytes) -> GraderSpec:
    """The grader that the graders API is to look at; raises WireError."""
    return read_grader(read_body(body).need("grader"), "grader", "api")


def write_grader_validation(grader: GraderSpec) -> dict[str, Any]:
    """What tells that a grader is right."""
    return {"grader": write_grader(grader)}


def read_grader(value: object, path: str, place: Place) -> GraderSpec:
    """A grader's JSON; raises WireError with the path of what is wrong.

    Evals want a name, and a threshold of text similarity; they take no `multi`. The graders API takes no
    `label_model`, and graders without names are called by their type.
    """
    fields = Fields(value, path)
    kind = fields.choice("type", _types(place))
    return _read_multi(fields) if kind == "multi" else _read_one(fields, kind, place, kind)


def write_grader(grader: GraderSpec) -> dict[str, Any]:
    """A grader's JSON, with the thresholds and ranges that were resolved."""
    match grader:
        case StringCheck():
            told = {"input": grader.input, "reference": grader.reference, "operation": grader.operation}
            return {"type": "string_check", "name": grader.name, **told}
        case TextSimilarity():
            told = {"input": grader.input, "reference": grader.reference, "evaluation_metric": grader.metric}
            return {"type": "text_similarity", "name": grader.name, **told, "pass_threshold": grader.pass_threshold}
        case LabelModel():
            told = {"labels": list(grader.labels), "passing_labels": list(grader.passing)}
            return {"type": "label_model", "name": grader.name, "model": grader.model, **_input(grader), **told}
        case ScoreModel():
            told = {"range": list(grader.range), "pass_threshold": grader.pass_threshold}
            asked = {"sampling_params": dict(grader.sampling.written)} if grader.sampling.written else {}
            return {
                "type": "score_model",
                "name": grader.name,
                "model": grader.model,
                **_input(grader),
                **told,
                **asked,
            }
        case Python():
            image = {} if grader.image_tag is None else {"image_tag": grader.image_tag}
            told = {"source": grader.source, "pass_threshold": grader.pass_threshold}
            return {"type": "python", "name": grader.name, **told, **image}
        case Multi():
            inner = {key: write_grader(one) for key, one in grader.graders.items()}
            return {"type": "multi", "name": grader.name, "graders": inner, "calculate_output": grader.formula}


def write_grader_run(grader: GraderSpec, ran: Ran) -> dict[str, Any]:
    """The answer of the graders API, with every flag that OpenAI has."""
    models = [inner.model for inner in _flat(grader) if isinstance(inner, LabelModel | ScoreModel)]
    total = sum(tokens.prompt + tokens.completion for tokens in ran.tokens.values())
    details: dict[str, str | None] = {name: ran.faults.get(name.removesuffix("_details")) for name in DETAILS}
    details["python_grader_server_error_type"] = "sandbox" if "python_grader_server_error" in ran.faults else None
    return {
        "reward": ran.reward,
        "sub_rewards": dict(ran.scores),
        "model_grader_token_usage_per_model": {model: _usage(tokens) for model, tokens in ran.tokens.items()},
        "metadata": {
            "name": grader.name,
            "type": write_grader(grader)["type"],
            "execution_time": ran.seconds,
            "scores": dict(ran.scores),
            "token_usage": total if ran.tokens else None,
            "sampled_model_name": models[0] if models else None,
            "errors": {**{name: name in ran.faults for name in FLAGS}, **details},
        },
    }


def _types(place: Place, *, inside: bool = False) -> tuple[str, ...]:
    kinds = ("string_check", "text_similarity", "score_model", "python")
    if inside or place == "eval":
        return (*kinds, "label_model")
    return (*kinds, "multi")


def _read_one(fields: Fields, kind: str, place: Place, default_name: str) -> GraderSpec:
    name = fields.text("name") if place == "eval" else fields.text_or_none("name") or default_name
    match kind:
        case "string_check":
            operation = cast(Literal["eq", "ne", "like", "ilike"], _operation(fields))
            return StringCheck(name, fields.text("input"), fields.text("reference"), operation)
        case "text_similarity":
            return _read_similarity(fields, name, place)
        case "label_model":
            return _read_label_model(fields, name)
        case "score_model":
            return _read_score_model(fields, name)
        case _:
            source = fields.text("source", longest=LONGEST_SOURCE)
            threshold = fields.number("pass_threshold")
            return Python(name, source, 0.5 if threshold is None else threshold, fields.text_or_none("image_tag"))


def _read_multi(fields: Fields) -> Multi:
    inner = fields.inner("graders")
    if isinstance(inner.get("type"), str):
        one = _read_inner(inner, None)
        graders = {one.name: one}
    elif inner.values:
        graders = {key: _read_inner(inner.inner(key), key) for key in inner.values}
    else:
        raise wrong_value(fields.at("graders"), "it holds no grader")
    return Multi(fields.text_or_none("name") or "multi", graders, fields.text("calculate_output"))


def _read_inner(fields: Fields, key: str | None) -> GraderSpec:
    """A grader of a multi grader, called by its key when it has no name."""
    if fields.get("type") == "multi":
        raise wrong_value(fields.at("type"), "a multi grader cannot hold another")
    kind = fields.choice("type", _types("api", inside=True))
    return _read_one(fields, kind, "api", key or kind)


def _operation(fields: Fields) -> str:
    """`neq` is what one of OpenAI's guides calls `ne`."""
    operation = fields.need("operation")
    return "ne" if operation == "neq" else one_of(operation, OPERATIONS, fields.at("operation"))


def _read_similarity(fields: Fields, name: str, place: Place) -> TextSimilarity:
    metric = fields.choice("evaluation_metric", METRICS)
    if place == "eval":
        fields.need("pass_threshold")
    threshold = fields.number("pass_threshold", low=0, high=1)
    texts = fields.text("input"), fields.text("reference")
    return TextSimilarity(name, *texts, metric, 0.5 if threshold is None else threshold)


def _read_label_model(fields: Fields, name: str) -> LabelModel:
    labels, passing = fields.texts("labels", fewest=1), fields.texts("passing_labels", fewest=1)
    for index, label in enumerate(passing):
        if label not in labels:
            raise wrong_value(f"{fields.at('passing_labels')}[{index}]", f"'{label}' is none of the labels")
    if len(set(labels)) < len(labels):
        raise wrong_value(fields.at("labels"), "a label is there twice")
    return LabelModel(name, fields.text("model"), read_prompt(fields, "input"), labels, passing)


def _read_score_model(fields: Fields, name: str) -> ScoreModel:
    low, high = _read_range(fields)
    threshold = fields.number("pass_threshold")
    return ScoreModel(
        name=name,
        model=fields.text("model"),
        prompt=read_prompt(fields, "input"),
        range=(low, high),
        pass_threshold=(low + high) / 2 if threshold is None else threshold,
        sampling=read_sampling(fields.inner_or_empty("sampling_params")),
    )


def _read_range(fields: Fields) -> tuple[float, float]:
    if fields.get("range") is None:
        return 0.0, 1.0
    ends = fields.items("range")
    numbers = [float(value) for value, _ in ends if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(ends) != 2 or len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise WireError(
            f"Invalid value for '{fields.at('range')}': expected two numbers, the lower first.",
            "invalid_value",
            fields.at("range"),
        )
    return numbers[0], numbers[1]


def _flat(grader: GraderSpec) -> list[GraderSpec]:
    return [grader, *grader.graders.values()] if isinstance(grader, Multi) else [grader]


def _input(grader: LabelModel | ScoreModel) -> dict[str, Any]:
    return {"input": [echo_message(message) for message in grader.prompt]}


def _usage(tokens: Tokens) -> dict[str, int]:
    return {
        "prompt_tokens": tokens.prompt,
        "total_tokens": tokens.prompt + tokens.completion,
        "completion_tokens": tokens.completion,
        "cached_tokens": tokens.cached,
    }
