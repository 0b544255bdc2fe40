"""Every export of one student in its own runtime: latency, throughput, start, bytes and energy, in one table.

    python benchmarks/exports.py --bundle BUNDLE [--bundle BUNDLE] [--texts FILE] [--home DIR] [--quick] [--json]

A bundle of a text classifier is exported to everything that takes its kind, and each export is asked the same texts by
its runtime, in a process of its own on one thread, in turns, several rounds:

    pytorch      the student as it was trained, in float32
    served       the bundle as `stillhouse serve` runs it, in the precision that was certified
    onnx, ort    ONNX Runtime on a graph in float32, and on its format for phones
    onnx-text    the same with the tokenizer inside the graph (one text at a time)
    gguf         llama.cpp on float16, and on q8_0 (one text at a time)
    executorch   ExecuTorch with XNNPACK (one text at a time)
    web          ONNX Runtime Web in Node, with the scripts of the page (one text at a time)
    c            the program that this machine's C compiler makes (`words` and `static` students)

Latency is from a text to its scores, asked alone (of C the mean over one run of all texts). Start is from an empty
process to the first answer, the interpreter and its imports included (of C without compiling). Bytes are those of the
files that a runtime loads; of C the flash that it takes. Energy is processor seconds times an assumed power per core,
as reports of runs count it; where a machine has RAPL counters none are read, since other processes count into them.

What is not installed, or takes no student of a kind, is left out and named. Texts are BANKING77's test split unless
`--texts` names a JSONL file with a `text` each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from trials import goal, goals, tell, versions

from stillhouse.errors import StillhouseError
from stillhouse.export.c_build import find_compiler
from stillhouse.extras import version
from stillhouse.recipes.export import RECORD, export_student
from stillhouse.recipes.open_student import open_student
from stillhouse.reports.costs import CostAssumptions

FORMS = ("onnx", "onnx-text", "ort", "gguf", "gguf-q8_0", "executorch", "web", "c")
ROWS, ROUNDS = 1_000, 5
QUICK_ROWS, QUICK_ROUNDS = 100, 2
WORKER = Path(__file__).with_name("runtimes.py")
NOT_LOADED = ("README.md", "LICENSE", RECORD)
SAME = 0.99
"""The least share of answers that an export in 16 bits or more must have as PyTorch."""
FEWER_BITS = ("served", "gguf-q8_0", "web", "c")
LOADED = {
    "gguf": ("model.gguf",),
    "gguf-q8_0": ("model.gguf",),
    "executorch": ("model.pte", "tokenizer.json"),
    "onnx": ("model.onnx", "tokenizer.json"),
    "onnx-text": ("model.onnx",),
    "ort": ("model.ort", "tokenizer.json"),
}


def measure(bundle: Path, texts: Sequence[str], rounds: int, home: Path) -> dict[str, Any]:
    """Every export of one bundle."""
    subject = open_student(bundle)
    assert subject.manifest is not None
    folders, left_out = exported(bundle, home, texts)
    told: dict[str, list[dict[str, Any]]] = {form: [] for form in folders}
    for turn in range(rounds):
        for form, folder in folders.items():
            told[form].append(asked(form, folder, bundle, texts))
            middle = statistics.median(told[form][-1]["ms"])
            tell(f"{subject.manifest.student}, round {turn + 1}, {form}: {middle:.3f} ms")
    base = told["pytorch"]
    rows = [row_of(form, rounds_of, base) | {"bytes": weight(form, folders[form])} for form, rounds_of in told.items()]
    return {"student": subject.manifest.student, "exports": rows, "left_out": left_out}


def exported(bundle: Path, home: Path, texts: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The folder of every form that can be made and run here, and why others cannot."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    folders, left_out = {"pytorch": bundle / "trained", "served": bundle / "student"}, {}
    for form in FORMS:
        missing = {"gguf": "llama_cpp", "gguf-q8_0": "llama_cpp", "executorch": "executorch"}.get(form)
        if missing and version(missing.replace("llama_cpp", "llama-cpp-python")) is None:
            left_out[form] = f"{missing} is not installed"
            continue
        if form == "c" and find_compiler() is None:
            left_out[form] = "no C compiler"
            continue
        try:
            export_student(bundle, form, home / form, file)
        except StillhouseError as error:
            left_out[form] = str(error)
        else:
            folders[form] = home / form
    return folders, left_out


def asked(form: str, folder: Path, bundle: Path, texts: Sequence[str]) -> dict[str, Any]:
    """One run of a worker: what it measured, and how long it took to the first answer."""
    command = [sys.executable, str(WORKER), form, str(folder), str(bundle)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=alone)
    assert run.stdin
    assert run.stdout
    run.stdin.write(json.dumps(list(texts)))
    run.stdin.close()
    if not run.stdout.readline():
        raise SystemExit(f"{form} did not answer; its complaint is above.")
    ready = time.perf_counter() - started
    found = json.loads(run.stdout.read().splitlines()[-1])
    run.wait()
    return found | {"ready": ready}


def row_of(form: str, rounds: Sequence[Mapping[str, Any]], base: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A form's figures: medians over rounds; times as fast as PyTorch in the same round."""
    middle = [statistics.median(one["ms"]) for one in rounds]
    ratios = [statistics.median(other["ms"]) / mine for mine, other in zip(middle, base, strict=True)]
    core = statistics.median(one["core_seconds"] for one in rounds)
    same = np.mean(np.array(rounds[0]["labels"]) == np.array(base[0]["labels"]))
    return {
        "form": form,
        "ms": {
            "p50": statistics.median(middle),
            "p95": statistics.median(float(np.percentile(one["ms"], 95)) for one in rounds),
        },
        "times_as_fast_as_pytorch": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "texts_per_second": statistics.median(one["per_second"] for one in rounds),
        "ready_seconds": None if form == "c" else statistics.median(one["ready"] for one in rounds),
        "core_seconds_per_1000": 1000 * core,
        "watt_hours_per_1000": 1000 * core * CostAssumptions().watts_per_core / 3600,
        "same_answers_as_pytorch": float(same),
    }


def weight(form: str, folder: Path) -> int:
    """Bytes that a runtime loads; of C the flash."""
    if form == "c":
        return json.loads((folder / "student.json").read_text(encoding="utf-8"))["footprint"]["flash"]
    names = LOADED.get(form)
    files = [folder / name for name in names] if names else [file for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.is_file() and file.name not in NOT_LOADED)


def targets(students: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for student in students:
        whole = [row for row in student["exports"] if row["form"] not in FEWER_BITS]
        least = min(row["same_answers_as_pytorch"] for row in whole)
        found.append(goal(f"{student['student']}: answers as PyTorch, 16 bits or more", SAME, least, least >= SAME))
        slowest = min(
            row["times_as_fast_as_pytorch"]["median"] for row in student["exports"] if row["form"] != "pytorch"
        )
        found.append(goal(f"{student['student']}: no export slower than PyTorch", ">= 1", slowest, slowest >= 1))
    return found


def lines(students: Sequence[Mapping[str, Any]]) -> list[str]:
    made = []
    for student in students:
        made += [
            "",
            f"{student['student']}",
            f"{'':<12}{'p50 ms':>9}{'p95 ms':>9}{'× PyTorch':>11}{'texts/s':>10}{'start s':>9}{'MB':>9}{'mWh/1000':>10}"
            f"{'same':>8}",
        ]
        for row in student["exports"]:
            start = "-" if row["ready_seconds"] is None else f"{row['ready_seconds']:.2f}"
            made.append(
                f"{row['form']:<12}{row['ms']['p50']:>9.3f}{row['ms']['p95']:>9.3f}"
                f"{row['times_as_fast_as_pytorch']['median']:>11.1f}{row['texts_per_second']:>10,.0f}{start:>9}"
                f"{row['bytes'] / 1e6:>9.2f}{1e3 * row['watt_hours_per_1000']:>10.3f}"
                f"{row['same_answers_as_pytorch']:>8.1%}"
            )
        made += [f"left out: {form} ({reason})" for form, reason in student["left_out"].items()]
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, action="append", required=True, help="a bundle; may be repeated")
    parser.add_argument("--texts", type=Path, help="JSONL with a text each; by default BANKING77's test split")
    parser.add_argument("--home", type=Path, help="keep the exports here")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} texts, {QUICK_ROUNDS} rounds: no evidence")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--out", type=Path, help="write the JSON object to this file too")
    options = parser.parse_args()
    from web import read_texts

    started = time.monotonic()
    texts = read_texts(options.texts)[: QUICK_ROWS if options.quick else ROWS]
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    with TemporaryDirectory() as scratch:
        home = options.home or Path(scratch)
        students = [measure(bundle, texts, rounds, home / bundle.name) for bundle in options.bundle]
    packages = ("onnxruntime", "onnxruntime-extensions", "llama-cpp-python", "executorch")
    found = {
        "benchmark": "exports",
        "command": f"python benchmarks/exports.py {'--quick ' if options.quick else ''}--bundle BUNDLE ... --json",
        "quick": options.quick,
        "versions": versions() | {package: str(version(package)) for package in packages},
        "hardware": {"device": platform.machine(), "cores": os.cpu_count(), "threads": 1},
        "watts_per_core_assumed": CostAssumptions().watts_per_core,
        "texts": len(texts),
        "rounds": rounds,
        "seconds": round(time.monotonic() - started),
        "students": students,
        "targets": targets(students),
    }
    text = json.dumps(found, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else "\n".join([*lines(students), *goals(found["targets"])]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
