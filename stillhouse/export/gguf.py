"""A student as one GGUF file for llama.cpp and Ollama: language models, sentence encoders and encoder classifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import nn

from stillhouse.errors import UsageError
from stillhouse.export.folders import written_into
from stillhouse.export.gguf_architecture import ENCODERS, Architecture, Facts, describe
from stillhouse.export.gguf_tokenizer import read_words
from stillhouse.export.modelfile import read_template, write_modelfile
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.extras import EXTRAS, install, installed, require

__all__ = ["FORMS", "MODEL", "export_gguf", "split_student"]

Floats = npt.NDArray[np.float32]

MODEL = "model.gguf"
FORMS = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
"""What weights may be held in, dearest first: those that the package `gguf` can write without llama.cpp."""

_FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "bf16": 32}
_BLOCK = 32
"""Weights of a row that share a scale in every form of 4, 5 and 8 bits."""
_WHOLE = ("position_embd.weight", "token_types.weight", "rope_freqs.weight", "cls.weight", "cls.output.weight")
"""Weights that stay in float32 whatever the form: llama.cpp adds them as they are, or they are few and decide much."""
_TABLES = ("token_embd.weight", "output.weight")
"""What stands for tokens at both ends: never under 8 bits, where the likeliest tokens would be mixed up first."""
_MEAN, _FIRST, _LAST, _RANK = 1, 2, 3, 4
"""How states of tokens become one vector, by GGUF's numbers; the last: and then scores of labels."""


def export_gguf(subject: Subject, out: Path, quantize: str = "f16") -> Exported:
    """Write `out/model.gguf` with weights in the form `quantize`, and for Ollama a `Modelfile` beside it.

    Everything is there or nothing. Raises UsageError for a model or a tokenizer that llama.cpp does not have.
    """
    require("gguf", "write GGUF")
    refuse_kind(subject, "gguf", Kind.LANGUAGE_MODEL, Kind.EMBEDDING, Kind.CLASSIFIER)
    if quantize not in FORMS:
        raise UsageError(
            f"GGUF is written here as {', '.join(FORMS)}, not as {quantize!r}. llama.cpp's own `llama-quantize` makes "
            "every other form of a file in f32."
        )
    body, heads = split_student(subject)
    described = describe(body)
    if subject.tokenizer is None:
        raise UsageError(f"{subject.folder} has no tokenizer.json, which a GGUF file holds.")
    config = cast("Any", body.config)
    words = read_words(subject.tokenizer, int(config.vocab_size), _roles(body, int(config.vocab_size)))
    template = read_template(subject.tokenizer.parent) if subject.kind is Kind.LANGUAGE_MODEL else None
    facts = _general(subject, quantize) | _named(described, subject, heads) | words.facts
    if template:
        facts["tokenizer.chat_template"] = template
    with written_into(out) as waiting:
        kept = _write(waiting / MODEL, described, facts, _weights(described, body, heads), quantize)
        told = []
        if subject.kind is not Kind.CLASSIFIER:
            told = write_modelfile(waiting / "Modelfile", MODEL, subject, template, facts)
        files = sorted(file.name for file in waiting.iterdir())
    return Exported(
        tuple(out / name for name in files), (*_notes(subject), *described.notes, *words.notes, *told, *kept)
    )


def split_student(subject: Subject) -> tuple[Any, dict[str, nn.Parameter]]:
    """The part of a student that llama.cpp has an architecture for, and by its names the weights that score labels."""
    model: Any = subject.transformer
    if model is None:
        raise UsageError(
            f"llama.cpp runs transformers, and a {subject.family} student is none. Export it to onnx or c."
        )
    if subject.kind is not Kind.CLASSIFIER:
        return model, {}
    kind = str(model.config.model_type)
    if kind not in ENCODERS:
        raise UsageError(f"Classifiers are written as GGUF with one of {', '.join(ENCODERS)} inside, not with {kind}.")
    if subject.manifest is not None:
        return model, _dense("cls.output", cast("Any", subject.module).head)
    base = model.base_model
    first, last = _classifier_layers(kind, model, base)
    return base, _dense("cls", first) | _dense("cls.output", last)


def _classifier_layers(kind: str, model: Any, base: Any) -> tuple[Any, Any]:
    """The layer with tanh and the one with a label for each output, both of the first token's state."""
    if kind == "bert" and base.pooler is not None:
        return base.pooler.dense, model.classifier
    if kind != "distilbert" and hasattr(model.classifier, "out_proj"):
        return model.classifier.dense, model.classifier.out_proj
    raise UsageError(
        f"llama.cpp scores labels by tanh of a layer and another layer, as BERT and RoBERTa do, and {kind} does not. "
        "Export it to onnx or safetensors."
    )


def _dense(name: str, layer: Any) -> dict[str, nn.Parameter]:
    found = {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    return {place: value for place, value in found.items() if value is not None}


def _general(subject: Subject, quantize: str) -> Facts:
    name = subject.manifest.name if subject.manifest is not None else subject.folder.resolve().name
    return {
        "general.type": "model",
        "general.name": name or subject.family,
        "general.file_type": _FILE_TYPES[quantize],
        "general.quantization_version": 2,
    }


def _named(described: Architecture, subject: Subject, heads: Mapping[str, nn.Parameter]) -> Facts:
    """The sizes of a model under its architecture's name, and how an encoder's states become its answer."""
    facts = dict(described.facts)
    whole: Facts = {}
    if described.name == "bert":
        whole["tokenizer.ggml.token_type_count"] = int(subject.config.get("type_vocab_size") or 1)
    if subject.kind is Kind.EMBEDDING:
        facts["pooling_type"] = _pooling(subject)
    if heads:
        facts |= {"pooling_type": _RANK, "classifier.output_labels": _labels(subject)}
        facts["classifier.pooling_type"] = _MEAN if subject.manifest is not None else _FIRST
    return {f"{described.name}.{key}": value for key, value in facts.items()} | whole


def _labels(subject: Subject) -> list[str]:
    """Every label, with its field where there are several."""
    if len(subject.labels) < 2:
        return [label for labels in subject.labels for label in labels]
    fields = subject.manifest.answer.fields if subject.manifest is not None else ()
    names = [field.name or str(at) for at, field in enumerate(fields)]
    return [f"{name}={label}" for name, labels in zip(names, subject.labels, strict=True) for label in labels]


def _pooling(subject: Subject) -> int:
    """How a sentence encoder's states become one vector, by GGUF's number."""
    stack = open_stack(subject.folder)
    modes: dict[tuple[str, ...], int] = {("mean",): _MEAN, ("cls",): _FIRST, ("lasttoken",): _LAST}
    if len(stack.dense) or stack.modes not in modes:
        seen = "a dense layer after its encoder" if len(stack.dense) else f"{' and '.join(stack.modes)} for pooling"
        raise UsageError(f"{subject.folder} has {seen}; llama.cpp pools by mean, cls or lasttoken, and no more.")
    return modes[stack.modes]


def _notes(subject: Subject) -> Iterator[str]:
    if subject.kind is Kind.EMBEDDING and open_stack(subject.folder).normalised:
        yield "llama.cpp's server and Ollama make vectors of length 1; its library gives them as they come."
    if subject.kind is Kind.CLASSIFIER and subject.manifest is not None:
        yield (
            "This classifier averages the states of its tokens. A llama.cpp too old to know the key "
            "bert.classifier.pooling_type takes the first token's state instead, and answers wrongly without a word."
        )
    if not installed("llamacpp"):
        yield (
            "llama-cpp-python is not installed: the weights were read back and compared, llama.cpp was not run. "
            f"To have it run: {install(EXTRAS['llamacpp'])} (it compiles llama.cpp)."
        )


def _roles(body: Any, rows: int) -> dict[str, int]:
    """The ids of special tokens that a model's configuration knows."""
    config = body.config
    generation = getattr(body, "generation_config", None)
    ends = getattr(generation, "eos_token_id", None)
    ends = ends if ends is not None else getattr(config, "eos_token_id", None)
    ends = list(ends) if isinstance(ends, list | tuple) else [ends]
    found = dict(zip(("eos", "eot"), ends, strict=False))
    found |= {role: getattr(config, f"{role}_token_id", None) for role in ("bos", "pad")}
    return {role: int(id) for role, id in found.items() if id is not None and 0 <= int(id) < rows}


def _weights(described: Architecture, body: Any, heads: Mapping[str, nn.Parameter]) -> dict[str, Floats]:
    scores = {name: weight.detach().float().cpu().numpy() for name, weight in heads.items()}
    return dict(described.weights(body, int(body.config.num_hidden_layers))) | scores


def _write(
    path: Path, described: Architecture, facts: Facts, weights: Mapping[str, Floats], quantize: str
) -> tuple[str, ...]:
    """Write the file; what could not be held in the form that was asked for is told."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize as pack

    writer = GGUFWriter(path, described.name)
    for key, value in facts.items():
        _add(writer, key, value)
    wider = 0
    for name, weight in weights.items():
        form = _form(name, weight, quantize)
        wider += form == "f16" != quantize
        kind = GGMLQuantizationType[form.upper()]
        writer.add_tensor(name, pack(weight, kind), raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    return (f"{wider} weights whose rows are no multiple of {_BLOCK} are held in f16.",) if wider else ()


def _form(name: str, weight: Floats, quantize: str) -> str:
    """What one weight is held in."""
    if weight.ndim < 2 or name in _WHOLE:
        return "f32"
    if quantize in FORMS[:3]:
        return quantize
    if weight.shape[-1] % _BLOCK:
        return "f16"
    return "q8_0" if name in _TABLES else quantize


def _add(writer: Any, key: str, value: Any) -> None:
    """One fact by its type; the writer knows the architecture's name already."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
