"""The folder that a compression leaves: graph and tokenizer, the model behind it, what was tried, what is proven."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.export.folders import written_whole
from stillhouse.models.hub import fetch, files_of
from stillhouse.models.load import locate
from stillhouse.models.tokenizers import end_read
from stillhouse.recipes.forms import Form, Forms
from stillhouse.recipes.sections import TaskName
from stillhouse.recipes.write_bundle import student_files, write_json
from stillhouse.reports import compression_report
from stillhouse.reports.compression_record import RECORD, CompressionRecord

__all__ = ["RECORD", "Proof", "write_compressed"]

STUDENT, MODEL = "student", "model"
OF_RUN = ("training.json", "record.json")
"""What a training left beside its model: it tells of that run."""


@dataclass(frozen=True)
class Proof:
    """What is certified of a form, and the temperature that its logits are divided by."""

    certificate: Certificate
    temperature: float


def write_compressed(forms: Forms, chosen: Form, record: CompressionRecord, proof: Proof | None) -> None:
    """Write the folder whole. `student/` is what runs, `model/` the same in float32, to be exported or healed further.

    Transformers loads `model/` too, unless layers of it are factored (`factored.json`). A classifier of texts becomes a
    bundle, which `stillhouse serve --model` takes.
    """
    recipe, certificate = forms.recipe, None if proof is None else proof.certificate
    with written_whole(recipe.out) as folder:
        shutil.copytree(chosen.graph.parent, folder / STUDENT)
        _copy_model(fetch(locate(chosen.model)), folder / MODEL)
        if proof is not None:
            write_json(folder / "certificate.json", proof.certificate.to_json())
            if recipe.task is TaskName.CLASSIFICATION:
                write_json(folder / "stillhouse.json", _manifest(forms, chosen, proof).to_json())
        write_json(folder / RECORD, record.to_json())
        (folder / "report.html").write_text(compression_report.render(record, certificate), encoding="utf-8")


def _copy_model(source: Path, target: Path) -> None:
    """The model alone: the folder may be a user's own, in which much else lies."""
    for file in files_of(source):
        if file.name not in OF_RUN:
            place = target / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _manifest(forms: Forms, chosen: Form, proof: Proof) -> Manifest:
    """By which it is served: the words of a call in, the name of the label out."""
    config: Any = forms.whole.config
    names = tuple(str(config.id2label[number]) for number in range(int(config.num_labels)))
    name = Path(forms.recipe.model).name
    return Manifest(
        name=forms.recipe.out.resolve().name,
        student=forms.describe(chosen.combination),
        teacher=name,
        prompt=PromptForm(),
        answer=AnswerForm((Field(None, names),), (0,)),
        featurizer=Featurizer("tokenizer", forms.recipe.data.tokens, keep=end_read(forms.whole.reader)),
        temperatures=(proof.temperature,),
        threshold=proof.certificate.cascade.threshold,
        files=student_files([chosen.graph, chosen.graph.with_name("tokenizer.json")]),
        run=proof.certificate.provenance,
    )
