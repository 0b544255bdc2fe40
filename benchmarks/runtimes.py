"""No benchmark, but how each export of a text classifier is opened and asked, in a process of its own.

    python benchmarks/runtimes.py FORM FOLDER BUNDLE < texts.json

prints a line when the first text is answered, and a line with what was measured then: milliseconds of each text asked
alone, texts a second asked together, processor seconds, and the answers.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TOGETHER = 32
WARM = 50
Answer = Callable[[Sequence[str]], Any]
"""From texts to scores `[texts, labels]`, or their order alone."""
ENGINE = Path(__file__).with_name("runtimes_node.mjs")


def pytorch(_: Path, bundle: Path) -> Answer:
    import torch

    from stillhouse.models.tokenizers import pad
    from stillhouse.recipes.open_student import open_student
    from stillhouse.recipes.samples import reader_of

    torch.set_num_threads(1)
    subject = open_student(bundle)
    reader = reader_of(subject)

    @torch.no_grad()
    def answer(texts: Sequence[str]) -> Any:
        ids, mask = pad(reader.ids(texts))
        return subject.module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()

    return answer


def served(_: Path, bundle: Path) -> Answer:
    from stillhouse.inference.onnx_classifier import OnnxClassifier

    classifier = OnnxClassifier.open(bundle, threads=1)
    return lambda texts: classifier.predict(texts).probabilities[0]


def onnx(folder: Path, bundle: Path, graph: str = "model.onnx") -> Answer:
    import onnxruntime

    from stillhouse.bundle.manifest import read_manifest
    from stillhouse.models.tokenizers import open_reader, pad

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / graph), options, providers=["CPUExecutionProvider"])
    reader = open_reader(read_manifest(bundle).featurizer, bundle / "student")

    def answer(texts: Sequence[str]) -> Any:
        ids, mask = pad(reader.ids(texts))
        return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]

    return answer


def ort(folder: Path, bundle: Path) -> Answer:
    return onnx(folder, bundle, "model.ort")


def onnx_text(folder: Path, _: Path) -> Answer:
    import onnxruntime
    import onnxruntime_extensions

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    session: Any = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    return lambda texts: np.concatenate([session.run(["logits"], {"text": np.array([text])})[0] for text in texts])


def gguf(folder: Path, _: Path) -> Answer:
    from stillhouse.export.llama_runtime import LlamaRuntime
    from stillhouse.export.subject import Kind

    runtime = LlamaRuntime(folder / "model.gguf", Kind.CLASSIFIER, threads=1)
    return lambda texts: np.stack([runtime.pooled(runtime.tokens(text)) for text in texts])


def executorch(folder: Path, bundle: Path) -> Answer:
    import torch
    from executorch.runtime import Runtime  # pyright: ignore[reportMissingImports]

    from stillhouse.bundle.manifest import read_manifest
    from stillhouse.models.tokenizers import open_reader

    torch.set_num_threads(1)
    program = Runtime.get().load_program(str(folder / "model.pte"))
    method = program.load_method("forward")
    reader = open_reader(read_manifest(bundle).featurizer, bundle / "student")

    def one(ids: np.ndarray) -> Any:
        given = torch.from_numpy(np.append(ids, 0) if len(ids) == 1 else ids)[None]
        mask = (torch.arange(given.shape[1]) < len(ids)).long()[None]
        return method.execute([given, mask])[0].numpy()[0]

    return lambda texts: np.stack([one(ids) for ids in reader.ids(texts)])


OPENERS: Mapping[str, Callable[[Path, Path], Answer]] = {
    "pytorch": pytorch,
    "served": served,
    "onnx": onnx,
    "onnx-text": onnx_text,
    "ort": ort,
    "gguf": gguf,
    "gguf-q8_0": gguf,
    "executorch": executorch,
}


def asked_in_python(form: str, folder: Path, bundle: Path, texts: Sequence[str]) -> None:
    """Ask a runtime that Python opens, and print what came of it."""
    answer = OPENERS[form](folder, bundle)
    answer(texts[:1])
    print(json.dumps({"ready": True}), flush=True)
    for text in texts[:WARM]:
        answer([text])
    spent, labels, before = [], [], used()
    for text in texts:
        start = time.perf_counter()
        said = answer([text])
        spent.append(1e3 * (time.perf_counter() - start))
        labels.append(int(np.argmax(said[0])))
    alone = used() - before
    start = time.perf_counter()
    for at in range(0, len(texts), TOGETHER):
        answer(texts[at : at + TOGETHER])
    together = time.perf_counter() - start
    tell(spent, len(texts) / together, alone / len(texts), labels)


def asked_in_c(folder: Path, texts: Sequence[str]) -> None:
    """Ask the compiled student: it reads lines until there are no more, so that single answers cannot be timed."""
    from stillhouse.export.c_build import Program, lines_of, require_compiler

    with Program(folder, require_compiler()) as program:
        print(json.dumps({"ready": True}), flush=True)
        program.scores(lines_of(texts[:1]))
        start = time.perf_counter()
        program.scores(lines_of(texts[:1]))
        begun = time.perf_counter() - start
        before, start = used(), time.perf_counter()
        scores = program.scores(lines_of(texts))
        spent, core = time.perf_counter() - start - begun, used() - before
    tell([1e3 * spent / len(texts)], len(texts) / spent, core / len(texts), scores.argmax(1).tolist())


def asked_in_node(folder: Path, texts: Sequence[str]) -> None:
    """Ask the web folder's own scripts in Node; one text at a time is all that they take."""
    run = subprocess.Popen(["node", str(ENGINE), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdin
    assert run.stdout
    run.stdin.write(json.dumps(list(texts)))
    run.stdin.close()
    print(run.stdout.readline(), end="", flush=True)
    found = json.loads(run.stdout.read())
    run.wait()
    tell(found["ms"], 1e3 / float(np.mean(found["ms"])), found["core_seconds"] / len(texts), found["labels"])


def used() -> float:
    """Processor seconds of this process, and of those that it waited for."""
    return sum(
        part.ru_utime + part.ru_stime
        for part in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def tell(ms: Sequence[float], per_second: float, core_seconds: float, labels: Sequence[int]) -> None:
    print(json.dumps({"ms": list(ms), "per_second": per_second, "core_seconds": core_seconds, "labels": list(labels)}))


def main() -> int:
    form, folder, bundle = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    texts = json.load(sys.stdin)
    if form == "c":
        asked_in_c(folder, texts)
    elif form == "web":
        asked_in_node(folder, texts)
    else:
        asked_in_python(form, folder, bundle, texts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
