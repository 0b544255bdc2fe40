"""Does the certificate keep its word: 1,000 resampled runs on BANKING77 against the whole population's truth.

    python benchmarks/certificate_coverage.py [--data DIR] [--bundle BUNDLE] [--quick] [--json]

A student answers a large pool of calls that it was not trained on; the pool stands for all traffic, so its
agreement and its disagreement above any threshold are known exactly. Each trial draws selection, calibration and
sealed rows from the pool with replacement, as a real run would get them, certifies, and is compared with that truth.

The student is `--bundle`, as `stillhouse distill` left it after BANKING77's train part (the pool is then the test
part), or without one TF-IDF and logistic regression fitted on half of the train part (the pool is all the rest).
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rows import read_rows

from stillhouse.evaluation.answers import Answers, Terms
from stillhouse.evaluation.binomial import at_least, at_most, clopper_pearson
from stillhouse.evaluation.certificate import certify

RISKS = (0.02, 0.05, 0.1)
ROWS = {"selection": 1000, "calibration": 1500, "sealed": 3080}
"""What `stillhouse distill` makes of BANKING77: 10 % and 15 % of its train part, and its test part as the holdout."""
CONFIDENCE = 0.95
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Pool:
    """The population: how a student answers every call of it."""

    student: str
    correct: np.ndarray
    confidence: np.ndarray

    @property
    def agreement(self) -> float:
        return float(self.correct.mean())

    def kept(self, threshold: float) -> tuple[float, float]:
        """The true coverage at a threshold and the true disagreement among what it keeps."""
        keeps = self.confidence >= threshold
        return float(keeps.mean()), float(1.0 - self.correct[keeps].mean()) if keeps.any() else 0.0

    def best_coverage(self, risk: float) -> float:
        """What an oracle could keep: the loosest threshold whose true disagreement is within the risk."""
        kept = [self.kept(threshold) for threshold in np.unique(self.confidence)]
        return max((coverage for coverage, disagreement in kept if disagreement <= risk), default=0.0)

    def draw(self, rows: int, random: np.random.Generator) -> Answers:
        chosen = random.integers(0, len(self.correct), rows)
        return Answers(self.correct[chosen], self.confidence[chosen])


def labelled(path: Path) -> Rows:
    return [(row["text"], row["label"]) for row in read_rows(path)]


def quick_student(train: Rows, test: Rows, random: np.random.Generator) -> Pool:
    """TF-IDF of words and characters and logistic regression, on half of the train part."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    order = random.permutation(len(train))
    learnt = [train[i] for i in order[: len(train) // 2]]
    asked = [train[i] for i in order[len(train) // 2 :]] + test
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), min_df=3, sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=10.0, max_iter=100))
    model.fit([text for text, _ in learnt], [label for _, label in learnt])
    probabilities = model.predict_proba([text for text, _ in asked])
    answers = model.classes_[probabilities.argmax(axis=1)]
    return Pool(
        "TF-IDF and logistic regression on half of train",
        answers == np.array([label for _, label in asked]),
        probabilities.max(axis=1),
    )


def bundled_student(bundle: Path, test: Rows) -> Pool:
    """A bundle's student on the test part, which it was not trained on."""
    from stillhouse.inference.onnx_classifier import OnnxClassifier
    from stillhouse.inference.onnx_student import likeliest

    classifier = OnnxClassifier.open(bundle, threads=0)
    answer = classifier.manifest.answer
    given, confidence = likeliest(classifier.predict([text for text, _ in test]).probabilities)
    correct = [answer.read(label) == tuple(mine) for mine, (_, label) in zip(given.tolist(), test, strict=True)]
    return Pool(f"{classifier.manifest.student} of a bundle", np.array(correct), confidence)


@dataclass(frozen=True)
class Trial:
    """One resampled run: did its interval cover, did its promise hold, what did it keep of all traffic."""

    covers: bool
    holds: bool
    certified: bool
    coverage: float


def run_trial(pool: Pool, risk: float, random: np.random.Generator) -> Trial:
    parts = {name: pool.draw(rows, random) for name, rows in ROWS.items()}
    terms = Terms(risk=risk, confidence=CONFIDENCE)
    certificate = certify(parts["sealed"], parts["calibration"], parts["selection"], terms, {})
    low, high = certificate.interval
    threshold = certificate.cascade.threshold
    coverage, disagreement = (0.0, 0.0) if threshold is None else pool.kept(threshold)
    return Trial(low <= pool.agreement <= high, disagreement <= risk, threshold is not None, coverage)


def exact_coverage(rows: int, agreement: float) -> float:
    """How often the interval covers, summed over every count that could be drawn: no resampling noise."""
    tail = (1.0 - CONFIDENCE) / 2.0
    covering = [
        k for k in range(rows + 1) if at_least(k, rows, agreement) > tail and at_most(k, rows, agreement) > tail
    ]
    return at_most(covering[-1], rows, agreement) - at_most(covering[0] - 1, rows, agreement)


def share(hits: Sequence[bool]) -> dict[str, Any]:
    """How often something held, with the interval that the number of trials allows."""
    count = sum(hits)
    return {"share": count / len(hits), "interval": clopper_pearson(count, len(hits), CONFIDENCE)}


def measure(pool: Pool, trials: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row of results per risk."""
    for risk in RISKS:
        started = time.perf_counter()
        random = np.random.default_rng((seed, round(risk * 1000)))
        done = [run_trial(pool, risk, random) for _ in range(trials)]
        yield {
            "risk": risk,
            "trials": trials,
            "interval_covers": share([trial.covers for trial in done]),
            "risk_holds": share([trial.holds for trial in done]),
            "certified": share([trial.certified for trial in done]),
            "mean_coverage": float(np.mean([trial.coverage for trial in done])),
            "oracle_coverage": pool.best_coverage(risk),
        }
        print(f"risk {risk}: {trials} trials in {time.perf_counter() - started:.1f} s", file=sys.stderr)


def targets(rows: list[dict[str, Any]], exact: float) -> list[dict[str, Any]]:
    """What was promised; trials are noisy, so a share misses its target when its own interval lies under it."""

    def promised(name: str, measured: dict[str, Any]) -> dict[str, Any]:
        met = measured["interval"][1] >= CONFIDENCE
        return {"name": name, "target": CONFIDENCE, "measured": measured["share"], "met": met}

    kept = rows[0]["mean_coverage"]
    return [
        {"name": "interval covers, exactly", "target": CONFIDENCE, "measured": exact, "met": exact >= CONFIDENCE},
        *(promised(f"interval covers in the trials at risk {row['risk']}", row["interval_covers"]) for row in rows),
        *(promised(f"risk {row['risk']} holds", row["risk_holds"]) for row in rows),
        {"name": f"traffic kept at risk {RISKS[0]}", "target": 0.8, "measured": kept, "met": kept >= 0.8},
    ]


def benchmark(data: Path, bundle: Path | None, trials: int, seed: int) -> dict[str, Any]:
    train, test = (labelled(data / "banking77" / f"{part}.jsonl.gz") for part in ("train", "test"))
    student_seed = np.random.default_rng(seed)
    pool = bundled_student(bundle, test) if bundle else quick_student(train, test, student_seed)
    print(f"{pool.student}: agrees on {pool.agreement:.2%} of {len(pool.correct)} calls", file=sys.stderr)
    rows = list(measure(pool, trials, seed))
    exact = exact_coverage(ROWS["sealed"], pool.agreement)
    return {
        "benchmark": "certificate_coverage",
        "command": shlex.join(["python", *sys.argv]),
        "seed": seed,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
        "student": pool.student,
        "population": {"rows": len(pool.correct), "agreement": pool.agreement},
        "drawn_rows": ROWS,
        "confidence": CONFIDENCE,
        "exact_interval_coverage": exact,
        "risks": rows,
        "targets": targets(rows, exact),
    }


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    lines = [f"{result['student']}, agreement {result['population']['agreement']:.2%}", ""]
    lines.append("| risk | holds | interval covers | certified | kept (mean) | kept (oracle) |")
    lines.append("|---|---|---|---|---|---|")
    for row in result["risks"]:
        shares = [row[name]["share"] for name in ("risk_holds", "interval_covers", "certified")]
        values = [*shares, row["mean_coverage"], row["oracle_coverage"]]
        lines.append(f"| {row['risk']} | " + " | ".join(f"{value:.1%}" for value in values) + " |")
    lines.append("")
    for target in result["targets"]:
        met = "met" if target["met"] else "MISSED"
        lines.append(f"{met}: {target['name']}: {target['measured']:.3f} (target {target['target']})")
    return "\n".join(lines)


def main() -> None:
    default_data = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_data, help="folder that holds banking77/")
    parser.add_argument("--bundle", type=Path, help="a student distilled from BANKING77's train part")
    parser.add_argument("--quick", action="store_true", help="200 trials instead of 1,000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    given = parser.parse_args()
    result = benchmark(given.data, given.bundle, 200 if given.quick else 1000, given.seed)
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
