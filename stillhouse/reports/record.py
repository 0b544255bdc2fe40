"""RunRecord: everything a finished run says about itself, as one value that survives JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Manifest
from stillhouse.errors import BundleError
from stillhouse.reports.costs import CostRecord

__all__ = [
    "Confusion",
    "Curve",
    "DataRecord",
    "Example",
    "LabelBalance",
    "Quality",
    "ReliabilityBin",
    "RowCounts",
    "RunFacts",
    "RunRecord",
    "RungRecord",
    "Speed",
    "TeacherTerms",
]


@dataclass(frozen=True)
class Quality:
    """How a rung answers on the selection part, as it will be served; shares lie in 0..1."""

    agreement: float
    agreement_interval: tuple[float, float]
    macro_f1: float
    ece: float
    """Expected calibration error: the mean gap between confidence and agreement."""
    coverage_at_risk: float
    """Share of calls it could keep at the run's risk."""
    rows: int


@dataclass(frozen=True)
class Speed:
    """How fast a rung is, as it will be served: one call at a time on one thread, except throughput."""

    load_ms: float
    latency_ms_p50: float
    latency_ms_p95: float
    throughput_per_s: float
    """Answers per second on all cores."""


@dataclass(frozen=True)
class RungRecord:
    """One candidate of the ladder."""

    name: str
    quality: Quality
    speed: Speed
    bytes: int
    """On disk, with its tokenizer."""
    parameters: int
    train_seconds: float
    precision: str
    """`float32`, `int8`, ..."""
    note: str = ""
    """Anything a reader should know: a fall-back taken, a limit reached."""


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows that were read."""

    read: int
    used: int
    unanswered: int
    bad: int
    duplicates: int
    """Rows whose prompt another row has too, exactly or nearly."""
    leakage: int
    """Rows that would have straddled two parts, and were kept on one side."""
    outside: int = 0
    """Used rows whose answer is none that a student could give: a disagreement wherever one is measured."""


@dataclass(frozen=True)
class LabelBalance:
    """How often the teacher gave each label of one field; `counts` stands beside `labels`."""

    field: str | None
    labels: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Example:
    """One recorded call: the text that varies, and the teacher's answer."""

    text: str
    answer: str


@dataclass(frozen=True)
class DataRecord:
    """What the student learnt from."""

    files: tuple[str, ...]
    rows: RowCounts
    splits: dict[str, int]
    balance: tuple[LabelBalance, ...]
    prompt: str
    """One sentence: what is constant in the prompts and what varies."""
    answer: str
    """One sentence: what answers look like."""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """One way in which the chosen student differs from the teacher on sealed rows."""

    field: str | None
    teacher_label: str
    student_label: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """Disagreement among the share of sealed calls that is kept, the most confident first."""

    coverage: tuple[float, ...]
    disagreement: tuple[float, ...]


@dataclass(frozen=True)
class ReliabilityBin:
    """Sealed calls of like confidence: their mean confidence, how many agree (0..1), how many there are."""

    confidence: float
    agreement: float
    count: int


@dataclass(frozen=True)
class RunFacts:
    """What one needs to repeat the run."""

    command: str
    seed: int
    seconds: float
    hardware: str
    versions: dict[str, str]
    bundle: str
    """The bundle's folder as the user gave it: `serve --model` takes it."""
    finished: str
    """The day, as people write it: `21 November 2026`."""


@dataclass(frozen=True)
class TeacherTerms:
    """Whose answers the student learnt from, and what may be done with them."""

    name: str
    rows: int
    allowed: tuple[str, ...] | None = None
    """None: nobody has written the terms down."""
    attribution: str = ""
    expires: str = ""
    licence: str = ""
    source: str = ""
    snapshot: str = ""
    """The SHA-256 of the terms as they were read."""


@dataclass(frozen=True)
class RunRecord:
    """A finished run."""

    manifest: Manifest
    certificate: Certificate
    rungs: tuple[RungRecord, ...]
    chosen: str
    data: DataRecord
    costs: CostRecord
    run: RunFacts
    confusions: tuple[Confusion, ...] = ()
    curve: Curve = field(default=Curve((), ()))
    reliability: tuple[ReliabilityBin, ...] = ()
    terms: tuple[TeacherTerms, ...] = ()
    """Of the teachers; nothing where no terms are known at all."""

    @property
    def chosen_rung(self) -> RungRecord | None:
        """The rung that was chosen, when it is among those recorded."""
        return next((rung for rung in self.rungs if rung.name == self.chosen), None)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; a number that is not finite becomes null."""
        plain = {part.name: _plain(getattr(self, part.name)) for part in fields(self)}
        return plain | {"manifest": self.manifest.to_json(), "certificate": _plain(self.certificate.to_json())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunRecord:
        """The record that `to_json` wrote; raises BundleError when it is torn."""
        try:
            return _build(cls, data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                f"The record of the run is damaged ({type(error).__name__}: {error}). Distil again to write a new one."
            ) from error


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in cast(dict[Any, Any], value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in cast(list[Any], value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _build(kind: Any, value: Any) -> Any:
    """A value of the annotated kind out of its JSON; null where a float belongs is NaN."""
    if kind is Manifest:
        return Manifest.from_json(value)
    if kind is Certificate:
        return Certificate.from_json(value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return cast(type, kind)(**{name: _build(hints[name], each) for name, each in value.items()})
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        kinds = parts[:1] * len(value) if parts[1:] == (...,) else parts
        return tuple(_build(each, item) for each, item in zip(kinds, value, strict=True))
    if isinstance(kind, UnionType):
        known = next(part for part in parts if part is not NoneType)
        return None if value is None else _build(known, value)
    if kind is float:
        return math.nan if value is None else float(value)
    return value
