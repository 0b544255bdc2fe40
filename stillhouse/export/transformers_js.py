"""A student as the folder that transformers.js loads: configuration, tokenizer, and ONNX graphs by precision."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tokenizers import Tokenizer

from stillhouse.errors import UsageError
from stillhouse.export.onnx import export_onnx
from stillhouse.export.onnx_folder import open_graph
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.verify import Floats, Parity, Samples, answers, compare, shares
from stillhouse.export.web_check import served_shares
from stillhouse.export.web_text import TOKENS, tokens_read

__all__ = ["calibrate", "export_transformers_js", "verify_transformers_js"]

CONFIG = "config.json"
SURE = 1e-7
"""What a label lacks to certainty at least, so that its log-odds are a number."""


def export_transformers_js(subject: Subject, out: Path) -> Exported:
    """Write the folder `out`: a text classifier for `pipeline("text-classification", ...)`.

    Temperatures become part of the graph, so that the scores that a pipeline tells are the student's confidence. With
    several answer fields every label of each has a score of its own: the pipeline is told of many labels.
    """
    refuse_kind(subject, "transformers.js", Kind.CLASSIFIER)
    if subject.tokenizer is None:
        raise UsageError(
            f"{subject.folder} is a {subject.family} student: it has no tokenizer, which transformers.js needs. Export "
            "it with `--to web`."
        )
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    _write_graphs(subject, out / "onnx")
    shutil.copyfile(subject.tokenizer, out / "tokenizer.json")
    _write_json(out / "tokenizer_config.json", _tokenizer_config(subject))
    _write_json(out / CONFIG, _config(subject))
    return Exported(tuple(sorted(path for path in out.rglob("*") if path.is_file())), _notes(subject))


def calibrate(model: onnx.ModelProto, sizes: Sequence[int], temperatures: Sequence[float]) -> None:
    """Change a graph's `logits` so that what pipelines make of them is the calibrated share of each label.

    One field: logits / T, of which a softmax is taken. Several: log(p / (1 - p)) of each label's share p = softmax(z /
    T) in its field, of which a sigmoid is taken.
    """
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["logits_before" if name == "logits" else name for name in node.output]
        node.input[:] = ["logits_before" if name == "logits" else name for name in node.input]
    heats = np.repeat(np.asarray(temperatures, dtype=np.float32), sizes)
    graph.initializer.append(numpy_helper.from_array(heats, "temperatures"))
    if len(sizes) == 1:
        graph.node.append(helper.make_node("Div", ["logits_before", "temperatures"], ["logits"]))
        return
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.asarray(sizes, dtype=np.int64), "field_sizes"),
            numpy_helper.from_array(np.asarray(1.0, dtype=np.float32), "whole"),
            numpy_helper.from_array(np.asarray(SURE, dtype=np.float32), "least"),
        ]
    )
    parts = [f"field_{at}" for at in range(len(sizes))]
    graph.node.append(helper.make_node("Div", ["logits_before", "temperatures"], ["logits_calibrated"]))
    graph.node.append(helper.make_node("Split", ["logits_calibrated", "field_sizes"], parts, axis=1))
    for part in parts:
        graph.node.extend(
            [
                helper.make_node("LogSoftmax", [part], [f"{part}_log"], axis=1),
                helper.make_node("Exp", [f"{part}_log"], [f"{part}_share"]),
                helper.make_node("Sub", ["whole", f"{part}_share"], [f"{part}_rest"]),
                helper.make_node("Max", [f"{part}_rest", "least"], [f"{part}_lacking"]),
                helper.make_node("Log", [f"{part}_lacking"], [f"{part}_against"]),
                helper.make_node("Sub", [f"{part}_log", f"{part}_against"], [f"{part}_odds"]),
            ]
        )
    graph.node.append(helper.make_node("Concat", [f"{part}_odds" for part in parts], ["logits"], axis=1))


def verify_transformers_js(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """The scores that a pipeline makes of the graph, run by ONNX Runtime here, against the student's.

    Of a bundle that is the quantised graph against the student as it is served.
    """
    name = "model.onnx" if subject.manifest is None else "model_quantized.onnx"
    session = open_graph(folder / "onnx" / name, threads=1)
    rows = [
        session.run(["logits"], {"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]})[0]
        for ids in samples.ids
    ]
    scores: Floats = np.concatenate(rows)
    expected = answers(subject, samples) if subject.manifest is None else served_shares(subject, samples)
    if len(subject.fields) == 1:
        return compare(expected, shares(scores, subject.fields))
    each = (1 / (1 + np.exp(-scores))).astype(np.float32)
    return compare(expected, np.split(each, np.cumsum(subject.fields)[:-1], axis=1))


def _write_graphs(subject: Subject, folder: Path) -> None:
    """`model.onnx` in float32, and of a bundle `model_quantized.onnx`: the graph that is served and certified."""
    whole = folder / "model.onnx"
    export_onnx(subject.module, whole)
    graphs = [whole]
    if subject.manifest is not None:
        graphs.append(folder / "model_quantized.onnx")
        shutil.copyfile(subject.folder / "student" / "model.onnx", graphs[1])
        for path in graphs:
            model = onnx.load(str(path))
            calibrate(model, subject.fields, subject.manifest.temperatures)
            onnx.save(model, str(path))


def _config(subject: Subject) -> dict[str, Any]:
    names = [
        f"{field.name}: {label}" if len(subject.labels) > 1 else label
        for field, labels in zip(_fields(subject), subject.labels, strict=True)
        for label in labels
    ]
    sizes = subject.config if subject.transformer is not None else {}  # transformers.js asks for no more than a type
    config = {
        "model_type": "bert",
        **sizes,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "problem_type": "multi_label_classification" if len(subject.labels) > 1 else "single_label_classification",
    }
    if subject.manifest is not None and config["model_type"] == "bert":
        config["architectures"] = ["BertForSequenceClassification"]
    return config


def _fields(subject: Subject) -> Sequence[Any]:
    return subject.manifest.answer.fields if subject.manifest else [None] * len(subject.labels)


def _tokenizer_config(subject: Subject) -> dict[str, Any]:
    beside = subject.folder / "tokenizer_config.json"
    if subject.manifest is None and beside.is_file():
        told: dict[str, Any] = json.loads(beside.read_text(encoding="utf-8"))
        own = told.get("model_max_length")  # of a tokenizer without a limit it is a very large number
        return {**told, "model_max_length": tokens_read(subject.config, int(own or TOKENS))}
    limit = subject.manifest.featurizer.max_tokens if subject.manifest else tokens_read(subject.config)
    padding = Tokenizer.from_file(str(subject.tokenizer)).id_to_token(0)
    return {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": limit, "pad_token": padding}


def _notes(subject: Subject) -> tuple[str, ...]:
    if subject.manifest is None:
        return ("`dtype: 'fp32'` loads onnx/model.onnx.",)
    featurizer = subject.manifest.featurizer
    notes = [
        "`dtype: 'q8'` loads the graph that is served and certified, `dtype: 'fp32'` the student as it was trained.",
    ]
    if featurizer.keep == "end":
        longer = f"Of texts longer than {featurizer.max_tokens} tokens"
        notes.append(f"{longer} transformers.js reads the start; Stillhouse reads the end.")
    if len(subject.labels) > 1:
        notes.append("Ask the pipeline with `top_k: null`: every label of every field has its own score.")
    return tuple(notes)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
