"""A student as an ordinary folder with safetensors, which Transformers or Sentence-Transformers load by themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from stillhouse.errors import UsageError
from stillhouse.export.card import model_card
from stillhouse.export.pooling import open_stack
from stillhouse.export.subject import Exported, Kind, Logits, Subject, copy_files
from stillhouse.export.verify import Floats, Parity, Samples, answers, compare, compare_vectors, in_turn, shares
from stillhouse.models.pictures import PROCESSOR
from stillhouse.models.tokenizers import Ids

__all__ = ["export_safetensors", "verify_safetensors"]

LOADERS: dict[Kind, Any] = {
    Kind.CLASSIFIER: AutoModelForSequenceClassification,
    Kind.IMAGE: AutoModelForImageClassification,
    Kind.EMBEDDING: AutoModel,
    Kind.LANGUAGE_MODEL: AutoModelForCausalLM,
}
BESIDE = (PROCESSOR, "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
ROLES = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
"""What special tokens are for, and what they are called."""
HEAD = "2_Dense"


def export_safetensors(subject: Subject, out: Path) -> Exported:
    """Write `model.safetensors`, `config.json`, the tokenizer and a model card into `out`.

    A bundle's encoder becomes a Sentence-Transformers folder: its head reads the mean over the text's tokens, and no
    class of Transformers for classification does; its vectors are the logits of the labels. A words or static student
    is no model of Transformers at all.
    """
    model: Any = subject.transformer
    if model is None:
        raise UsageError(
            f"{subject.folder} is a {subject.family} student, which no class of Transformers can hold. "
            "Export it to onnx, web or c, or serve the bundle."
        )
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    notes: tuple[str, ...] = ()
    if subject.manifest is not None:
        _classifier_parts(subject, out)
        notes = ("Load it with SentenceTransformer: encode() gives the logits of the labels.",)
    else:
        _copy_parts(subject, out)
    (out / "README.md").write_text(model_card(subject), encoding="utf-8")
    return Exported(tuple(sorted(path for path in out.rglob("*") if path.is_file())), notes)


def _copy_parts(subject: Subject, out: Path) -> None:
    """What lies beside the weights: tokenizer, image processor, parts of Sentence-Transformers."""
    copy_files(subject, out, BESIDE)
    if (subject.folder / "modules.json").is_file():
        open_stack(subject.folder)  # refuses parts that are not known, and so were not looked at
        parts: list[dict[str, Any]] = json.loads((subject.folder / "modules.json").read_text(encoding="utf-8"))
        for part in parts[1:]:
            if (subject.folder / part["path"]).is_dir():
                shutil.copytree(subject.folder / part["path"], out / part["path"])
        if parts[0]["path"]:
            parts[0]["path"] = ""
            _write(out / "modules.json", parts)


def _classifier_parts(subject: Subject, out: Path) -> None:
    """The tokenizer of a bundle's encoder, the mean of its tokens, and its head, as Sentence-Transformers have them."""
    assert subject.manifest is not None
    assert subject.tokenizer is not None
    featurizer = subject.manifest.featurizer
    tokens, side = featurizer.max_tokens, "left" if featurizer.keep == "end" else "right"
    tokenizer = Tokenizer.from_file(str(subject.tokenizer))
    tokenizer.no_truncation()
    roles = {
        role: name for role, names in ROLES.items() for name in names[::-1] if tokenizer.token_to_id(name) is not None
    }
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=tokens, truncation_side=side, **roles
    )
    wrapped.save_pretrained(out)
    head: Any = subject.module.get_submodule("head")
    width = int(head.in_features)
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), (HEAD, "Dense")]
    _write(
        out / "modules.json",
        [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (path, kind) in enumerate(parts)
        ],
    )
    _write(out / "sentence_bert_config.json", {"max_seq_length": tokens, "do_lower_case": False})
    _write(out / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", "prompts": {}})
    _write(out / "1_Pooling" / "config.json", {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True})
    dense = {"in_features": width, "out_features": int(head.out_features), "bias": True}
    _write(out / HEAD / "config.json", {**dense, "activation_function": "torch.nn.modules.linear.Identity"})
    save_file(
        {f"linear.{name}": value.detach().contiguous() for name, value in head.state_dict().items()},
        out / HEAD / "model.safetensors",
    )
    names = [field.name for field in subject.manifest.answer.fields]
    several = len(names) > 1
    _name_labels(
        out / "config.json",
        [
            f"{name}: {label}" if several else label
            for name, labels in zip(names, subject.labels, strict=True)
            for label in labels
        ],
    )


def _name_labels(config: Path, labels: Sequence[str]) -> None:
    """Let `config.json` say what each number of an answer means."""
    written: dict[str, Any] = json.loads(config.read_text(encoding="utf-8"))
    written["id2label"] = {str(at): label for at, label in enumerate(labels)}
    written["label2id"] = {label: at for at, label in enumerate(labels)}
    _write(config, written)


def verify_safetensors(subject: Subject, folder: Path, samples: Samples) -> Parity:
    """The folder loaded anew by Transformers, and its answers to `samples` compared with the student's own."""
    as_stack = subject.manifest is not None or subject.kind is Kind.EMBEDDING
    loader = AutoModel if as_stack else LOADERS[subject.kind]
    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):  # a pooler that no student reads starts at random
        loaded: Any = loader.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    if not as_stack:
        again = _same_kind(subject, loaded)
        return compare(answers(subject, samples), answers(again, samples))
    stack = open_stack(folder)

    def speak(ids: Ids, mask: Ids) -> Floats:
        given, kept = torch.from_numpy(ids), torch.from_numpy(mask)
        return stack(loaded(input_ids=given, attention_mask=kept).last_hidden_state, kept).numpy()

    with torch.no_grad():
        found: Floats = in_turn(samples.ids, speak).astype(np.float32)
    if subject.kind is Kind.EMBEDDING:
        return compare_vectors(answers(subject, samples)[0], found)
    return compare(answers(subject, samples), shares(found, subject.fields))


def _same_kind(subject: Subject, loaded: nn.Module) -> Subject:
    """The subject with the weights that were read again."""
    module = Logits(loaded).eval() if subject.kind is Kind.CLASSIFIER else loaded
    return Subject(
        subject.kind, module, subject.family, subject.folder, subject.labels, subject.tokenizer, subject.config
    )


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
