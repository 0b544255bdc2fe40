"""A finished run of two fields, one of them with 77 labels, and variants of it."""

from __future__ import annotations

import math
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.certificate import CascadeStatement, Certificate
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.reports.costs import CostAssumptions, account, estimate_call
from stillhouse.reports.record import (
    Confusion,
    Curve,
    DataRecord,
    Example,
    LabelBalance,
    Quality,
    ReliabilityBin,
    RowCounts,
    RunFacts,
    RungRecord,
    RunRecord,
    Speed,
)

TOPICS = (f"request_about_topic_{index:02d}" for index in range(72))
INTENTS = ("card_arrival", "lost_or_stolen_card", "top_up_failed", "exchange_rate", "pending_transfer", *TOPICS)
PRIORITIES = ("low", "normal", "high", "urgent")


def _certificate() -> Certificate:
    cascade = CascadeStatement(
        risk=0.02,
        confidence=0.95,
        threshold=0.8134,
        coverage=0.8334,
        kept=2567,
        kept_disagreement=0.0136,
        kept_interval=(0.0095, 0.0189),
        calibration_rows=1501,
        calibration_kept=1260,
        needed_rows=None,
        reason="Of 1,260 calibration rows at or above the threshold 13 differ, few enough for 2.00%.",
        method="Learn then Test, fixed sequence, binomial tail",
    )
    return Certificate(
        agreement=0.9237,
        interval=(0.9137, 0.9328),
        confidence=0.95,
        margin=0.02,
        verdict="not shown",
        test_rows=3080,
        needed_rows=None,
        reason="The upper end of the interval, 93.3 %, lies below the 98 % that the margin asks for.",
        cascade=cascade,
        provenance={"test": {"rows": 3080, "sha256": "3f" * 32}, "seed": 7},
    )


def _manifest() -> Manifest:
    fields = (
        Field("intent", tuple(f'"{label}"' for label in INTENTS)),
        Field("priority", tuple(f'"{label}"' for label in PRIORITIES)),
    )
    return Manifest(
        name="support-desk",
        student="encoder-3",
        teacher="gpt-4.1",
        prompt=PromptForm(
            (Message("system", "You sort requests of a bank's customers.\nAnswer with JSON: intent, priority."),),
            prefix="Customer wrote: ",
        ),
        answer=AnswerForm(fields, ('{"intent": ', 0, ', "priority": ', 1, "}")),
        featurizer=Featurizer("tokenizer", 128),
        temperatures=(1.31, 1.12),
        threshold=0.8134,
        files={"student/model.onnx": "a1" * 32, "student/tokenizer.json": "b2" * 32},
        run={"data": {"sha256": "9c" * 32}, "recipe": "distill"},
    )


def rung(name: str, agreement: float, size: int, latency: float, note: str = "") -> RungRecord:
    """One candidate with an interval that fits 1,500 rows."""
    half = 1.96 * math.sqrt(agreement * (1 - agreement) / 1500)
    quality = Quality(agreement, (agreement - half, agreement + half), agreement - 0.012, 0.021, agreement - 0.12, 1500)
    speed = Speed(40 + latency * 30, latency, latency * 1.35, 1900 / latency)
    return RungRecord(name, quality, speed, size, size, 8 + latency * 40, "int8", note)


def _data(rng: random.Random) -> DataRecord:
    counts = tuple(sorted((rng.randint(30, 190) for _ in INTENTS), reverse=True))
    return DataRecord(
        files=("calls-october.jsonl", "calls-november.jsonl.gz"),
        rows=RowCounts(read=10_112, used=10_003, unanswered=96, bad=13, duplicates=204, leakage=37),
        splits={"train": 7001, "selection": 1500, "calibration": 1501, "test": 3080},
        balance=(
            LabelBalance("intent", INTENTS, counts),
            LabelBalance("priority", PRIORITIES, (2100, 4711, 2560, 632)),
        ),
        prompt="Every call starts with the same system message and “Customer wrote: ”; the request after it varies.",
        answer="Answers are JSON objects with an intent (77 labels) and a priority (4 labels).",
        examples=(
            Example("my card still hasn't come, it's been 3 weeks", '{"intent": "card_arrival", "priority": "high"}'),
            Example("exchange rate???", '{"intent": "exchange_rate", "priority": "low"}'),
        ),
    )


def _curve() -> Curve:
    coverage = tuple(index / 400 for index in range(1, 401))
    return Curve(coverage, tuple(0.0763 * share**9.46 for share in coverage))


@pytest.fixture
def record() -> RunRecord:
    """A run whose student was not shown to be non-inferior and keeps 83 % of calls."""
    rungs = (
        rung("words", 0.861, 1_310_000, 0.061),
        rung("static", 0.874, 4_900_000, 0.094),
        rung("encoder-1", 0.893, 7_200_000, 0.71),
        rung("encoder-2", 0.915, 9_000_000, 1.28),
        rung("encoder-3", 0.924, 10_800_000, 1.85, "int8 agreed with float32 on 99.8 % of rows."),
        rung("encoder-6", 0.928, 23_100_000, 3.6),
    )
    confusions = (
        Confusion(
            "intent", "pending_transfer", "top_up_failed", 14, ("the money i sent on monday isnt there", "why pending")
        ),
        Confusion("priority", "high", "normal", 11, ("I have written three times now.\nNobody answers!",)),
        Confusion("intent", "card_arrival", "lost_or_stolen_card", 1),
    )
    bins = tuple(ReliabilityBin((i + 0.5) / 10, min(1.0, (i + 0.5) / 10 + 0.03), 20 + i**3) for i in range(10))
    return RunRecord(
        manifest=_manifest(),
        certificate=_certificate(),
        rungs=rungs,
        chosen="encoder-3",
        data=_data(random.Random(7)),
        costs=account(estimate_call(1480, 44), 1020.0, 2, 0.8334, CostAssumptions()),
        run=RunFacts(
            command="stillhouse distill calls-october.jsonl calls-november.jsonl.gz --out support-desk --seed 7",
            seed=7,
            seconds=384.2,
            hardware="2 cores, 8 GB, no GPU",
            versions={"stillhouse": "0.1.0", "python": "3.11.2", "onnxruntime": "1.27.0"},
            bundle="support-desk",
            finished="21 November 2026",
        ),
        confusions=confusions,
        curve=_curve(),
        reliability=bins,
    )


@pytest.fixture
def hostile(record: RunRecord) -> RunRecord:
    """The same run with texts that try to break the page: markup, quotes, emoji, bidi, 150 long labels."""
    nasty = '<script>alert("x")</script>\n\'"&amp; 🔥 \u202eשלום عليكم\x00\x0b `code` | --> ]]> {{ 7*7 }}'
    labels = (
        nasty,
        "",
        "x" * 300,
        "很长的标签" * 30,
        *(f'"{index}" <b>& long label with words {index}' for index in range(146)),
    )
    data = replace(
        record.data,
        balance=(LabelBalance(nasty, labels, tuple(range(1500, 0, -10))),),
        prompt=nasty,
        examples=(Example(nasty, nasty), Example("y" * 4000, "z" * 900)),
        files=(nasty,),
    )
    confusions = (
        Confusion(nasty, labels[2], labels[3], 4, (nasty, "w" * 2000)),
        Confusion(None, nasty, "", 2, ("",)),
    )
    manifest = replace(
        record.manifest,
        name=nasty,
        teacher=nasty,
        prompt=PromptForm((Message("system", nasty * 60),), nasty, nasty),
        answer=AnswerForm((Field(None, labels),), (0,)),
        run={nasty: nasty},
    )
    rungs = tuple(replace(each, name=nasty if index == 4 else each.name) for index, each in enumerate(record.rungs))
    run = replace(record.run, command=nasty, bundle=nasty, hardware=nasty, versions={nasty: nasty})
    certificate = replace(record.certificate, reason=nasty)
    return replace(
        record,
        data=data,
        confusions=confusions,
        manifest=manifest,
        rungs=rungs,
        run=run,
        certificate=certificate,
        chosen=nasty,
    )


@pytest.fixture
def empty(record: RunRecord) -> RunRecord:
    """A run with nothing in it: no rows, no threshold, numbers unknown."""
    nan = math.nan
    cascade = replace(
        record.certificate.cascade,
        threshold=None,
        coverage=0.0,
        kept=0,
        kept_disagreement=0.0,
        kept_interval=(0.0, 1.0),
        calibration_rows=0,
        calibration_kept=0,
        needed_rows=149,
        reason="No row was set aside for calibration.",
    )
    certificate = replace(
        record.certificate,
        agreement=0.0,
        interval=(0.0, 1.0),
        verdict="cannot tell",
        test_rows=0,
        needed_rows=189,
        reason="No sealed rows.",
        cascade=cascade,
    )
    quality = Quality(nan, (nan, nan), nan, nan, nan, 0)
    rungs = (RungRecord("words", quality, Speed(nan, nan, nan, 0.0), 0, 0, 0.0, "float32"),)
    data = DataRecord((), RowCounts(0, 0, 0, 0, 0, 0), {}, (LabelBalance(None, (), ()),), "", "")
    costs = account(estimate_call(0, 0), 0.0, 2, 0.0, CostAssumptions())
    return replace(
        record,
        certificate=certificate,
        rungs=rungs,
        chosen="",
        data=data,
        costs=costs,
        confusions=(),
        curve=Curve((), ()),
        reliability=(),
    )


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Run a headless Chromium with some flags and answer what it printed; skips where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium")
    quiet = ["gpu", "quic", "background-networking", "component-update", "sync"]

    def run(*flags: str) -> str:
        command = [program, "--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars"]
        command += [f"--disable-{part}" for part in quiet]
        command += [f"--user-data-dir={tempfile.mkdtemp(dir=tmp_path)}", *flags]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    return run
