"""A text classifier or sentence encoder with its WordPiece tokenizer inside the graph, by onnxruntime-extensions."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper
from tokenizers import Tokenizer

from stillhouse.errors import MissingExtra, UsageError
from stillhouse.export.graph import OPSET
from stillhouse.export.onnx_folder import GRAPH, export_onnx_folder, open_graph, write_signature
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.verify import Floats, Parity, Samples, answers, compare, compare_vectors, shares
from stillhouse.extras import install, missing
from stillhouse.models.tokenizers import Ids

__all__ = ["export_text_graph", "verify_text_graph"]

EXTENSIONS = "onnxruntime_extensions"
DOMAIN = "ai.onnx.contrib"
"""Whose operators the extensions bring."""


def export_text_graph(subject: Subject, out: Path) -> Exported:
    """Write a `model.onnx` whose one input is `text` `[1]`, a string; its outputs are those of the plain export.

    Raises UsageError for kinds and tokenizers that the extensions' operator does not read alike.
    """
    refuse_kind(subject, "onnx-text", Kind.CLASSIFIER, Kind.EMBEDDING)
    _extensions()
    spec = _wordpiece(subject)
    made = export_onnx_folder(subject, out)
    graph = out / GRAPH
    model = onnx.load(graph)
    tokenizer = _tokenizer(spec, _longest(subject, spec))
    tokenizer.ir_version = model.ir_version
    joined = compose.merge_models(
        compose.add_prefix(tokenizer, "read/", rename_inputs=False),
        model,
        io_map=[("read/input_ids", "input_ids"), ("read/attention_mask", "attention_mask")],
    )
    joined.producer_name, joined.producer_version = "", ""
    onnx.save_model(joined, str(graph), save_as_external_data=False)
    write_signature(subject, out, _session(graph))
    notes = (
        f"Register the operators of {EXTENSIONS} to run it; one text at a time.",
        "A word of which only the beginning is in the vocabulary is read as that and [UNK], not as [UNK] alone.",
    )
    return Exported(made.files, (*made.notes, *notes))


def verify_text_graph(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """Texts given to the graph as they are, one by one, compared with what the student says of them."""
    session = _session(folder / GRAPH)
    if subject.manifest is None:
        samples = replace(samples, ids=_read(subject, samples.texts))
    name = "sentence_embedding" if subject.kind is Kind.EMBEDDING else "logits"
    found: Floats = np.concatenate([session.run([name], {"text": np.array([text])})[0] for text in samples.texts])
    if subject.kind is Kind.EMBEDDING:
        return compare_vectors(answers(subject, samples)[0], found)
    return compare(answers(subject, samples), shares(found, subject.fields))


def _read(subject: Subject, texts: Sequence[str]) -> tuple[Ids, ...]:
    """The ids of texts, cut where the graph cuts them: samples hold fewer where no bundle says how many are read."""
    tokens, kept = _longest(subject, _wordpiece(subject))
    tokenizer = Tokenizer.from_file(str(subject.tokenizer))
    tokenizer.no_padding()
    tokenizer.enable_truncation(tokens, direction=kept.lower())
    return tuple(np.asarray(read.ids, dtype=np.int64) for read in tokenizer.encode_batch_fast(list(texts)))


def _extensions() -> Any:
    if missing([EXTENSIONS]):
        raise MissingExtra(
            f"A tokenizer inside the graph needs the package {EXTENSIONS}, which is not installed. Install it with: "
            f"{install([EXTENSIONS])}, or export to onnx, with the tokenizer as a file."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnxruntime_extensions  # pyright: ignore[reportMissingImports]

    return onnxruntime_extensions


def _session(graph: Path) -> Any:
    return open_graph(graph, library=_extensions().get_library_path())


def _wordpiece(subject: Subject) -> dict[str, Any]:
    """The tokenizer's JSON, where it splits words as BERT does."""
    if subject.tokenizer is None:
        raise UsageError(f"{subject.folder} has no tokenizer.json to put into a graph.")
    spec: dict[str, Any] = json.loads(subject.tokenizer.read_text(encoding="utf-8"))
    parts = {
        part: (spec.get(part) or {}).get("type") for part in ("model", "normalizer", "pre_tokenizer", "post_processor")
    }
    alike = (
        parts["model"] == "WordPiece"
        and parts["normalizer"] == "BertNormalizer"
        and parts["pre_tokenizer"] == "BertPreTokenizer"
        and parts["post_processor"] in ("BertProcessing", "TemplateProcessing")
    )
    vocabulary: dict[str, int] = spec["model"]["vocab"] if alike else {}
    if not alike or not {"[CLS]", "[SEP]"} <= vocabulary.keys():
        told = ", ".join(f"{part} {kind}" for part, kind in parts.items())
        raise UsageError(
            f"The tokenizer of {subject.folder} is no WordPiece as BERT has it ({told}), and no other is put into a "
            "graph. Export to onnx, with the tokenizer as a file."
        )
    return spec


def _longest(subject: Subject, spec: dict[str, Any]) -> tuple[int, str]:
    """How many tokens of a text are read, and which end of a longer one is kept."""
    cut = spec.get("truncation")
    if subject.manifest is not None:
        featurizer = subject.manifest.featurizer
        return featurizer.max_tokens, "Left" if featurizer.keep == "end" else "Right"
    most = int(subject.config.get("max_position_embeddings") or 512)
    return (min(most, int(cut["max_length"])), cut["direction"]) if cut else (most, "Right")


def _tokenizer(spec: dict[str, Any], longest: tuple[int, str]) -> onnx.ModelProto:
    """`text` `[1]` to `input_ids` and `attention_mask` `[1, tokens]`: the operator, then the cut to the longest."""
    vocabulary: dict[str, int] = spec["model"]["vocab"]
    normal = spec["normalizer"]
    unknown: str = spec["model"]["unk_token"]
    lower = bool(normal["lowercase"])
    accents = normal["strip_accents"] if normal["strip_accents"] is not None else lower
    tokens, kept = longest
    inner = tokens - 2
    start, end = (-inner, np.iinfo(np.int64).max) if kept == "Left" else (0, inner)
    numbers = {
        "one": [1],
        "last": [-1],
        "start": [start],
        "end": [end],
        "axis": [0],
        "cls": [vocabulary["[CLS]"]],
        "sep": [vocabulary["[SEP]"]],
    }
    nodes = [
        helper.make_node(
            "BertTokenizer",
            ["text"],
            ["whole", "types", "read"],
            domain=DOMAIN,
            vocab_file="\n".join(sorted(vocabulary, key=lambda token: vocabulary[token])),
            do_lower_case=int(lower),
            strip_accents=int(accents),
            tokenize_chinese_chars=int(normal["handle_chinese_chars"]),
            unk_token=unknown,
            pad_token="[PAD]" if "[PAD]" in vocabulary else unknown,
            mask_token="[MASK]" if "[MASK]" in vocabulary else unknown,  # the operator wants to know all of them
            suffix_indicator=spec["model"]["continuing_subword_prefix"],
        ),
        helper.make_node("Slice", ["whole", "one", "last", "axis"], ["inner"]),
        helper.make_node("Slice", ["inner", "start", "end", "axis"], ["cut"]),
        helper.make_node("Concat", ["cls", "cut", "sep"], ["row"], axis=0),
        helper.make_node("Unsqueeze", ["row", "axis"], ["input_ids"]),
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["attention_mask"], value=helper.make_tensor("", 7, [1], [1])),
    ]
    graph = helper.make_graph(
        nodes,
        "read",
        [helper.make_tensor_value_info("text", TensorProto.STRING, [1])],
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [numpy_helper.from_array(np.array(value, dtype=np.int64), name) for name, value in numbers.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)])
