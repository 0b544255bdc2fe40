"""Cost and energy per thousand answers: what is measured, what is assumed, and the arithmetic between."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Bill", "CallSize", "CostAssumptions", "CostRecord", "account", "estimate_call"]

CHARACTERS_PER_TOKEN = 4
"""A rule of thumb for English; other languages and code need more tokens."""


@dataclass(frozen=True)
class CostAssumptions:
    """Prices and powers nobody measured here; every one is shown in the report."""

    usd_per_vcpu_hour: float = 0.04
    watts_per_core: float = 10.0
    usd_per_million_input: float = 2.50
    usd_per_million_output: float = 10.00
    teacher_wh_per_call: float = 0.3
    """A widely quoted order of magnitude for one short call to a large hosted model."""


@dataclass(frozen=True)
class CallSize:
    """Tokens of a mean call to the teacher; `estimated` when they were not recorded."""

    prompt_tokens: float
    answer_tokens: float
    estimated: bool


@dataclass(frozen=True)
class Bill:
    """US dollars and watt-hours per thousand answers."""

    usd: float
    wh: float

    def saved_against(self, other: Bill) -> float:
        """Share of the other's dollars saved, NaN when the other costs nothing; negative when dearer."""
        return 1 - self.usd / other.usd if other.usd else math.nan


@dataclass(frozen=True)
class CostRecord:
    """Three ways to answer a thousand calls, and what the figures rest on."""

    teacher: Bill
    student: Bill
    cascade: Bill
    """The student looks at every call; the teacher answers those the student may not keep."""
    share_kept: float
    core_seconds_per_answer: float
    call: CallSize
    assumptions: CostAssumptions


def estimate_call(prompt_characters: float, answer_characters: float) -> CallSize:
    """The size of a mean call from its characters, four to a token: for traffic without usage counts."""
    return CallSize(prompt_characters / CHARACTERS_PER_TOKEN, answer_characters / CHARACTERS_PER_TOKEN, estimated=True)


def account(
    call: CallSize, throughput_per_s: float, cores: int, share_kept: float, assumptions: CostAssumptions
) -> CostRecord:
    """The bill of teacher, student and cascade.

    Student: s = cores / throughput core-seconds per answer, at usd_per_vcpu_hour and watts_per_core.
    Teacher: tokens times their price; energy as assumed per call.
    Cascade: student + (1 - share_kept) * teacher.
    `share_kept` in 0..1; a throughput of zero or NaN gives NaN.
    """
    seconds = cores / throughput_per_s if throughput_per_s > 0 else math.nan
    core_hours = 1000 * seconds / 3600
    student = Bill(core_hours * assumptions.usd_per_vcpu_hour, core_hours * assumptions.watts_per_core)
    tokens_usd = (
        call.prompt_tokens * assumptions.usd_per_million_input + call.answer_tokens * assumptions.usd_per_million_output
    ) / 1e6
    teacher = Bill(1000 * tokens_usd, 1000 * assumptions.teacher_wh_per_call)
    passed_on = 1 - share_kept
    cascade = Bill(student.usd + passed_on * teacher.usd, student.wh + passed_on * teacher.wh)
    return CostRecord(teacher, student, cascade, share_kept, seconds, call, assumptions)
