"""Certificate: the statistical statement about a student against its teacher."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["CascadeStatement", "Certificate", "PairedStatement", "Verdict"]

Verdict = Literal["non-inferior", "not shown", "cannot tell"]


@dataclass(frozen=True)
class CascadeStatement:
    """What the student may keep so that, among kept answers, disagreement stays within `risk`.

    `threshold` is None when no threshold could be certified: everything goes to the teacher.
    """

    risk: float
    confidence: float
    threshold: float | None
    coverage: float
    """Share of the sealed rows kept (confidence >= threshold), 0..1."""
    kept: int
    """Sealed rows kept."""
    kept_disagreement: float
    """Share of kept sealed rows on which student and teacher disagree, 0..1; 0 when none is kept."""
    kept_interval: tuple[float, float]
    """Clopper-Pearson interval of `kept_disagreement` at `confidence`."""
    calibration_rows: int
    calibration_kept: int
    needed_rows: int | None
    """Calibration rows that would be needed to certify a threshold, when none could be but more rows would help."""
    reason: str
    """One sentence: what the threshold rests on, or why there is none."""
    method: str


@dataclass(frozen=True)
class PairedStatement:
    """Student against teacher where true answers are known; shares are 0..1."""

    student_accuracy: float
    teacher_accuracy: float
    difference: float
    """Student minus teacher."""
    interval: tuple[float, float]
    """Of the difference, two-sided, at the certificate's confidence."""
    discordance: float
    """Share of rows on which exactly one of the two is right."""
    rows: int
    method: str


@dataclass(frozen=True)
class Certificate:
    """Agreement with the teacher on rows that neither training nor selection has seen."""

    agreement: float
    interval: tuple[float, float]
    confidence: float
    margin: float
    verdict: Verdict
    test_rows: int
    needed_rows: int | None
    """Sealed rows that would be needed to settle the verdict: a number exactly when it is "cannot tell"."""
    reason: str
    """One sentence: why this verdict."""
    cascade: CascadeStatement
    paired: PairedStatement | None = None
    method: str = "Clopper-Pearson, two-sided"
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    """Sizes, hashes, seeds and versions: enough to repeat the statement."""

    @property
    def non_inferior(self) -> bool:
        return self.verdict == "non-inferior"

    def to_json(self) -> dict[str, Any]:
        """The JSON of `certificate.json`."""
        return {**asdict(self), "interval": list(self.interval), "non_inferior": self.non_inferior}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Certificate:
        """The certificate that `to_json` wrote."""
        fields = {key: value for key, value in data.items() if key != "non_inferior"}
        cascade = dict(fields["cascade"])
        cascade["kept_interval"] = tuple(cascade["kept_interval"])
        fields["cascade"] = CascadeStatement(**cascade)
        if fields.get("paired"):
            paired = dict(fields["paired"])
            paired["interval"] = tuple(paired["interval"])
            fields["paired"] = PairedStatement(**paired)
        fields["interval"] = tuple(fields["interval"])
        return cls(**fields)
