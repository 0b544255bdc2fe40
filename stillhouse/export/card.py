"""The model card of an exported folder: what it is, where it comes from, what it answers, how it is loaded."""

from __future__ import annotations

import json
import re

from stillhouse.export.subject import Kind, Subject

__all__ = ["model_card"]

MOST_LABELS = 200
FRONT = {
    Kind.CLASSIFIER: ("transformers", "text-classification"),
    Kind.IMAGE: ("transformers", "image-classification"),
    Kind.EMBEDDING: ("sentence-transformers", "sentence-similarity"),
    Kind.LANGUAGE_MODEL: ("transformers", "text-generation"),
}
"""The library that loads a folder and what it is for, in the words of model hubs."""
LOADING = {
    Kind.CLASSIFIER: """from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder)
logits = model(**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")).logits""",
    Kind.IMAGE: """from transformers import AutoModelForImageClassification

model = AutoModelForImageClassification.from_pretrained(folder)
logits = model(pixel_values=pixels).logits  # [rows, labels]""",
    Kind.EMBEDDING: """from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer(folder).encode(texts)""",
    Kind.LANGUAGE_MODEL: """from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
answer = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=64)""",
}
STACKED = """from sentence_transformers import SentenceTransformer

logits = SentenceTransformer(folder).encode(texts)  # [rows, labels]
labels = logits.argmax(axis=1)"""


def model_card(subject: Subject) -> str:
    """The card as Markdown; texts from outside cannot break out of their line."""
    library, task = FRONT[subject.kind]
    name = subject.folder.name
    parts = [f"It is a {subject.family} model."]
    code = LOADING[subject.kind]
    if subject.manifest is not None:
        library, name, code = "sentence-transformers", subject.manifest.name, STACKED
        temperatures = ", ".join(f"{heat:.6g}" for heat in subject.manifest.temperatures)
        parts = [
            f"It is the student {_code(subject.manifest.student)}, distilled from the answers of "
            f"{_code(subject.manifest.teacher)}, in float32.",
            "Its logits divided by the temperature of their field, then softmax, are calibrated probabilities; "
            f"temperatures: {temperatures}.",
            "Texts are read without the constant parts of the prompt, and of long ones the "
            f"{subject.manifest.featurizer.keep} is kept.",
            "The certificate of the bundle that it comes from is about that bundle, not about this copy.",
        ]
    lines = ["---", f"library_name: {library}", f"pipeline_tag: {task}", "tags: [stillhouse, distillation]", "---", ""]
    lines += [f"# {_words(name)}", "", *parts, ""]
    lines += ["```python", code, "```", ""]
    if subject.labels:
        lines += ["## Labels", "", *(_listed(labels) for labels in subject.labels), ""]
    return "\n".join(lines)


def _listed(labels: tuple[str, ...]) -> str:
    shown = ", ".join(_code(label) for label in labels[:MOST_LABELS])
    more = f" and {len(labels) - MOST_LABELS} more in `config.json`" if len(labels) > MOST_LABELS else ""
    return f"- {shown}{more}"


def _words(text: str) -> str:
    """A foreign text on one line, with what Markdown or HTML would act on escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#&$~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A foreign text as a code span of one line, fenced by more backticks than it holds."""
    line = json.dumps(text, ensure_ascii=False)[1:-1]
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line}`"
