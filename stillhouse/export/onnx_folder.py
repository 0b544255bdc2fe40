"""A student as a folder for ONNX Runtime: graph, tokenizer as a file, what goes in and comes out; and its check."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
import torch

from stillhouse.errors import UsageError
from stillhouse.export.causal import Cache, cache_of, export_causal, genai_config
from stillhouse.export.onnx import export_embedding, export_image, export_onnx
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Exported, Kind, Subject, copy_files
from stillhouse.export.verify import Floats, Parity, Samples, answers, compare, compare_vectors, in_turn, shares
from stillhouse.models.pictures import PROCESSOR, edges_of, processor_beside, size_of
from stillhouse.models.tokenizers import Ids

__all__ = [
    "GRAPH",
    "SIGNATURE",
    "decode",
    "export_onnx_folder",
    "image_size",
    "open_graph",
    "verify_onnx_folder",
    "write_signature",
]

GRAPH, SIGNATURE = "model.onnx", "signature.json"
BESIDE = ("config.json", "generation_config.json", PROCESSOR, "sentence_bert_config.json")
"""Small files of a Transformers folder that runtimes and processors look for beside a model."""
WRITTEN = 16
"""Tokens that a language model writes while it is compared."""


def export_onnx_folder(subject: Subject, out: Path) -> Exported:
    """Write `model.onnx`, `tokenizer.json`, `signature.json` and what runtimes look for beside them into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    graph = out / GRAPH
    notes: tuple[str, ...] = ()
    if subject.kind is Kind.CLASSIFIER:
        export_onnx(subject.module, graph)
    elif subject.kind is Kind.IMAGE:
        export_image(subject.module, graph, image_size(subject))
    elif subject.kind is Kind.EMBEDDING:
        stack = open_stack(subject.folder)
        export_embedding(subject.module, stack, graph)
        length = ", brought to length 1" if stack.normalised else ""
        notes = (f"sentence_embedding is the {' + '.join(stack.modes)} of the tokens' states{length}.",)
    else:
        notes = _writer(subject, graph)
    copy_files(subject, out, BESIDE if subject.manifest is None else ())
    write_signature(subject, out, open_graph(graph))
    return Exported(tuple(sorted(path for path in out.rglob("*") if path.is_file())), notes)


def image_size(subject: Subject) -> tuple[int, int, int]:
    """Channels, height and width of what an image model sees."""
    found = edges_of(subject.config.get("image_size")) or size_of(processor_beside(subject.folder))
    height, width = found or (224, 224)
    return int(subject.config.get("num_channels", 3)), height, width


def _writer(subject: Subject, graph: Path) -> tuple[str, ...]:
    cache = export_causal(subject.module, graph)
    layout = genai_config(subject.config, cache)
    if layout is None:
        return (f"No genai_config.json: onnxruntime-genai decodes no {subject.family} by these inputs and outputs.",)
    _write(graph.parent / "genai_config.json", layout)
    return ()


def write_signature(subject: Subject, out: Path, session: Any) -> None:
    """Write `signature.json`: what goes in and what comes out of a session, and what the answers mean."""
    told: dict[str, Any] = {
        "kind": subject.kind.value,
        "inputs": [{"name": one.name, "type": one.type, "shape": one.shape} for one in session.get_inputs()],
        "outputs": [{"name": one.name, "type": one.type, "shape": one.shape} for one in session.get_outputs()],
    }
    names: list[str | None] = [None] * len(subject.labels)
    temperatures = (1.0,) * len(subject.labels)
    if subject.manifest is not None:
        names = [field.name for field in subject.manifest.answer.fields]
        temperatures = subject.manifest.temperatures
        told["reader"] = asdict(subject.manifest.featurizer)
        told["reader"]["long_texts_keep"] = told["reader"].pop("keep")
    if subject.labels:
        told["fields"] = [
            {"name": name, "temperature": temperature, "labels": list(labels)}
            for name, temperature, labels in zip(names, temperatures, subject.labels, strict=True)
        ]
    _write(out / SIGNATURE, told)


def open_graph(path: Path, threads: int = 0, library: str | None = None) -> Any:
    """A session of ONNX Runtime on the CPU, with the operators of `library` if one is named.

    Raises UsageError where the graph cannot be opened.
    """
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        if library is not None:
            options.register_custom_ops_library(library)
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors have no common class
        raise UsageError(f"{path} cannot be opened by ONNX Runtime: {str(error).splitlines()[0]}") from error


def verify_onnx_folder(subject: Subject, folder: Path, samples: Samples, graph: str = GRAPH) -> Parity:
    """The exported graph run by ONNX Runtime on `samples`, compared with the student itself.

    A language model writes some tokens of each row by the graph, keys and values carried over, and by Transformers:
    a row agrees when all of them are the same; probabilities are those of the first.
    """
    session = open_graph(folder / graph)
    if subject.kind is Kind.LANGUAGE_MODEL:
        return _compare_writing(subject, session, samples)
    name = "sentence_embedding" if subject.kind is Kind.EMBEDDING else "logits"
    if samples.pixels is not None:
        found = np.concatenate(
            [
                session.run([name], {"pixel_values": samples.pixels[at : at + 16]})[0]
                for at in range(0, samples.rows, 16)
            ]
        )
    else:
        found = in_turn(
            samples.ids, lambda ids, mask: session.run([name], {"input_ids": ids, "attention_mask": mask})[0]
        )
    if subject.kind is Kind.EMBEDDING:
        return compare_vectors(answers(subject, samples)[0], found)
    return compare(answers(subject, samples), shares(found, subject.fields))


def _compare_writing(subject: Subject, session: Any, samples: Samples) -> Parity:
    cache = cache_of(subject.module)
    same, first = 0, []
    for ids in samples.ids:
        written, scores = decode(session, cache, ids, WRITTEN)
        first.append(scores)
        same += written == _by_transformers(subject.module, ids, len(written))
    [expected], [found] = answers(subject, samples), shares(np.stack(first), ())
    return Parity(same / samples.rows, float(np.abs(expected - found).max()), samples.rows)


def decode(session: Any, cache: Cache, prompt: Ids, tokens: int) -> tuple[list[int], Floats]:
    """The likeliest next tokens after `prompt` `[tokens]`, one by one, and the scores of the first `[vocabulary]`."""
    names = [name for name in cache.inputs if name.startswith("past_key_values.")]
    shapes = [shape for pair in zip(cache.heads, cache.size, strict=True) for shape in (pair, pair)]
    kept = [np.zeros((1, heads, 0, size), dtype=np.float32) for heads, size in shapes]
    given, written, first = prompt.reshape(1, -1), list[int](), np.zeros(0, dtype=np.float32)
    for _ in range(tokens):
        past = kept[0].shape[2]
        total = past + given.shape[1]
        feed = {"input_ids": given, "attention_mask": np.ones((1, total), dtype=np.int64)}
        if cache.positions:
            feed["position_ids"] = np.arange(past, total, dtype=np.int64).reshape(1, -1)
        scores, *kept = session.run(cache.outputs, feed | dict(zip(names, kept, strict=True)))
        if not written:
            first = scores[0, -1]
        written.append(int(scores[0, -1].argmax()))
        given = np.array([[written[-1]]], dtype=np.int64)
    return written, first


def _by_transformers(model: Any, prompt: Ids, tokens: int) -> list[int]:
    """The likeliest next tokens by the model itself, with the cache that Transformers gives it."""
    given, cache, written = torch.from_numpy(prompt.reshape(1, -1)), None, list[int]()
    with torch.no_grad():
        for _ in range(tokens):
            said = model(input_ids=given, past_key_values=cache, use_cache=True)
            cache = said.past_key_values
            given = said.logits[:, -1:].argmax(-1)
            written.append(int(given))
    return written


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
