"""What a student in the browser weighs, how soon it is ready, how fast it answers, and whether as the served one."""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from browser import Tab, opened_tab, static_site

from stillhouse.data.formats import read_lines
from stillhouse.export.subject import Subject
from stillhouse.export.web import export_web
from stillhouse.export.web_runtime import RUNTIME
from stillhouse.extras import version
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.inference.onnx_student import likeliest
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import read_pictures, read_samples

OPENINGS, QUICK_OPENINGS = 9, 2
ROWS, QUICK_ROWS = 1_000, 100
SAME = 0.999
Answer = tuple[str, float]
Spent = dict[str, float]
READY = "document.documentElement.dataset.ready === 'yes'"
ASK = """(async () => {
  const { connect } = await import("./client.js");
  const student = await connect(), told = [], given = %s;
  const gray = ([row, width]) => {
    const bytes = Uint8Array.from(atob(row), (letter) => letter.charCodeAt(0));
    const data = new Uint8ClampedArray(4 * bytes.length).map((_, at) => (at %% 4 === 3 ? 255 : bytes[at >> 2]));
    return { data, width, height: bytes.length / width };
  };
  const ask = (one) => (typeof one === "string" ? student.answer(one) : student.look(gray(one)));
  for (let round = 0; round < 20; round++) await ask(given[0]);
  for (const one of given) {
    const start = performance.now(), answer = await ask(one);
    told.push([answer.text, answer.milliseconds, performance.now() - start, answer.confidence]);
  }
  return told;
})()"""
BROTLI = "process.stdout.write(String(require('zlib').brotliCompressSync(require('fs').readFileSync(0)).length))"


def weights(folder: Path) -> dict[str, Any]:
    """Bytes of what a browser loads: unpacked, as they lie in the folder, and by brotli."""
    import gzip

    parts = {"student": "model-", "runtime": "ort."}
    found: dict[str, Any] = {name: {"raw": 0, "wire": 0, "brotli": 0} for name in (*parts, "page")}
    for file in sorted(folder.iterdir()):
        if file.name == "package.json":  # for Node and bundlers; no browser asks for it
            continue
        name = next((part for part, start in parts.items() if file.name.startswith(start)), "page")
        content = file.read_bytes()
        raw = gzip.decompress(content) if file.suffix == ".gz" else content
        found[name]["raw"] += len(raw)
        found[name]["wire"] += len(content)
        found[name]["brotli"] += brotli(raw)
    return found


def brotli(content: bytes) -> int:
    """Bytes by brotli at its best, as Node packs them."""
    node = shutil.which("node")
    if node is None:
        raise SystemExit("Node is needed to measure brotli.")
    return int(subprocess.run([node, "-e", BROTLI], input=content, capture_output=True, check=True).stdout)


async def open_often(site: str, folder: Path, times: int) -> list[float]:
    """Milliseconds from asking for the page until the student is ready, each time by a browser that knows nothing."""
    found = []
    for at in range(times):
        async with opened_tab(folder / f"profile-{at}") as tab:
            await tab.open(site)
            await tab.until(READY)
            found.append(await tab.run("performance.getEntriesByName('ready')[0].startTime"))
    return found


async def ask(tab: Tab, site: str, given: Sequence[Any]) -> list[Any]:
    """What the page says to texts, or to gray pictures (bytes in base64, and a width)."""
    await tab.open(site)
    await tab.until(READY)
    return await tab.run(ASK % json.dumps(list(given)))


async def in_chromium(folder: Path, place: Path, given: Sequence[Any], openings: int) -> dict[str, Any]:
    with static_site(folder) as site:
        opened = await open_often(site, place, openings)
        async with opened_tab(place / "profile") as tab:
            told = await ask(tab, site, given)
            browser = (await tab.send("Browser.getVersion", session=""))["product"]
            foreign = sorted({url for url in tab.asked if not url.startswith((site, "data:", "blob:"))})
    inside, around = (sorted(row[at] for row in told) for at in (1, 2))
    return {
        "browser": browser,
        "ready_ms": {"p50": percentile(sorted(opened), 50), "slowest": max(opened), "openings": openings},
        "answer_ms": {"p50": percentile(inside, 50), "p95": percentile(inside, 95)},
        "answer_seen_by_page_ms": {"p50": percentile(around, 50), "p95": percentile(around, 95)},
        "complaints": tab.complaints,
        "foreign_requests": foreign,
        "answers": [(row[0], row[3]) for row in told],
    }


def percentile(values: Sequence[float], share: int) -> float:
    return round(float(np.percentile(values, share)), 2)


def served(bundle: Path, texts: Sequence[str]) -> tuple[list[Answer], Spent]:
    """Answers of the served student to each text by itself, and how long it takes on one thread."""
    classifier = OnnxClassifier.open(bundle)
    form = classifier.manifest.answer
    answers, spent = [], []
    for text in texts:
        start = time.perf_counter()
        said = classifier.predict([text])
        spent.append(1e3 * (time.perf_counter() - start))
        labels, confidence = likeliest(said.probabilities)
        answers.append(("".join(form.write(labels[0].tolist())), float(confidence[0])))
    return answers, {"p50": percentile(spent, 50), "p95": percentile(spent, 95)}


def seen_by(subject: Subject, pictures: Path, rows: int) -> tuple[list[Any], list[Answer], Spent]:
    """Gray pictures as the page takes them, what the student in PyTorch says to each, and how long it takes."""
    images = read_pictures(pictures)[:rows]
    samples = read_samples(subject, pictures).pixels
    assert samples is not None
    pixels = torch.from_numpy(samples[:rows])
    labels, answers, spent = subject.labels[0], [], []
    with torch.inference_mode():
        for one in pixels:
            start = time.perf_counter()
            shares = subject.module(pixel_values=one[None]).logits[0].softmax(0)
            spent.append(1e3 * (time.perf_counter() - start))
            answers.append((labels[int(shares.argmax())], float(shares.max())))
    given = [(base64.b64encode(image.tobytes()).decode(), image.shape[1]) for image in images]
    return given, answers, {"p50": percentile(spent, 50), "p95": percentile(spent, 95)}


def measure(bundle: Path, texts: Sequence[str], pictures: Path | None, openings: int, home: Path) -> dict[str, Any]:
    subject = open_student(bundle)
    if subject.manifest is None and pictures is None:
        raise SystemExit(f"{bundle} is no bundle. For a folder with a classifier of images give --pictures as well.")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        export_web(subject, place / "site", home)
        if subject.manifest is None and pictures is not None:
            given, expected, here = seen_by(subject, pictures, len(texts))
        else:
            given, (expected, here) = texts, served(bundle, texts)
        found = asyncio.run(in_chromium(place / "site", place, given, openings))
        sizes = weights(place / "site")
    told = found.pop("answers")
    same = sum(one[0] == other[0] for one, other in zip(expected, told, strict=True))
    apart = max(abs(one[1] - other[1]) for one, other in zip(expected, told, strict=True))
    return {
        "student": "images" if subject.manifest is None else subject.manifest.student,
        "labels": sum(len(labels) for labels in subject.labels),
        "bytes": sizes,
        "bytes_on_the_wire": sum(part["wire"] for part in sizes.values()),
        "rows": len(told),
        "same_answers": same,
        "largest_difference_of_confidence": apart,
        "served_answer_ms": here,
        **found,
    }


def targets(students: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    least = min(one["same_answers"] / one["rows"] for one in students)
    foreign = sum(len(one["foreign_requests"]) + len(one["complaints"]) for one in students)
    return [
        {"name": "same answers as served", "target": SAME, "measured": least, "met": least >= SAME},
        {"name": "requests elsewhere and complaints", "target": 0, "measured": foreign, "met": not foreign},
    ]


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--bundle",
        type=Path,
        action="append",
        required=True,
        help="a bundle, or a folder with a classifier of images; may be repeated",
    )
    parser.add_argument("--texts", type=Path, help="JSONL with a text each; by default BANKING77's test split")
    parser.add_argument("--pictures", type=Path, help="a .npz file with gray `images`, for a classifier of images")
    parser.add_argument("--out", type=Path, help="write the JSON object to this file too")
    parser.add_argument("--home", type=Path, default=Path(".stillhouse"), help="where ONNX Runtime Web is kept")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS} texts and {QUICK_OPENINGS} openings")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = QUICK_ROWS if options.quick else ROWS
    texts = read_texts(options.texts)[:rows]
    openings = QUICK_OPENINGS if options.quick else OPENINGS
    students = [measure(bundle, texts, options.pictures, openings, options.home) for bundle in options.bundle]
    words = ["python", "benchmarks/web.py", *(["--quick"] if options.quick else []), "--bundle BUNDLE ..."]
    result = {
        "benchmark": "web",
        "command": " ".join(words),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {"onnxruntime-web": RUNTIME.version, "onnxruntime": version("onnxruntime")},
        "students": students,
        "targets": targets(students),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(result, indent=1))
        return
    for one in students:
        print(
            f"{one['student']}: {one['bytes_on_the_wire'] / 1e6:.2f} MB on the wire, ready in {one['ready_ms']['p50']} "
            f"ms, an answer in {one['answer_ms']['p50']} ms (p95 {one['answer_ms']['p95']}; served: "
            f"{one['served_answer_ms']['p50']}), {one['same_answers']} of {one['rows']} answers as served"
        )
    for target in result["targets"]:
        print(f"{'met' if target['met'] else 'MISSED'}: {target['name']}: {target['measured']} ({target['target']})")


def read_texts(file: Path | None) -> list[str]:
    """The texts of a file, or of BANKING77's test split."""
    if file is None:
        file = Path(__file__).resolve().parents[2] / "shared" / "data" / "banking77" / "test.jsonl.gz"
    return [json.loads(line)["text"] for _, line in read_lines(file)]


if __name__ == "__main__":
    main()
