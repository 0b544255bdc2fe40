"""A student as a folder of static files that runs in any browser: ONNX Runtime in a worker, and a page to try it."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from tokenizers import Tokenizer

from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Manifest, read_certificate
from stillhouse.errors import BundleError, UsageError
from stillhouse.export.onnx import export_image, export_onnx
from stillhouse.export.onnx_folder import image_size
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.web_picture import picture_steps
from stillhouse.export.web_runtime import RUNTIME, TOKENIZERS, fetch_package
from stillhouse.export.web_text import character_tables, ngram_reader, tokenizer_reader, tokens_read

__all__ = ["export_web"]

PAGE = Path(__file__).with_name("page")
DESCRIPTION = "student.json"


def export_web(subject: Subject, out: Path, home: Path) -> Exported:
    """Write the folder `out`, to be served as it is; ONNX Runtime for browsers comes from npm, once for a `home`.

    A bundle's student runs as it is served and certified, in the same graph.
    """
    refuse_kind(subject, "the web", Kind.CLASSIFIER, Kind.IMAGE)
    packages = [fetch_package(RUNTIME, home)]
    reading = _reading(subject) if subject.kind is Kind.CLASSIFIER else None
    if reading is not None and reading["reader"]["kind"] == "library":
        packages.append(fetch_package(TOKENIZERS, home))
    for folder in (PAGE, *packages):
        shutil.copytree(folder, out, dirs_exist_ok=True)
    model = _write_model(subject, out)
    if reading is not None:
        _write_json(out / "reader.json", reading)
        if subject.tokenizer is not None and "tokenizer" in reading["reader"]:
            shutil.copyfile(subject.tokenizer, out / reading["reader"]["tokenizer"])
    _write_json(out / "package.json", {"private": True, "type": "module"})
    sizes = Sizes.of(out, model)
    _write_json(out / DESCRIPTION, _description(subject, model, sizes))
    return Exported(tuple(sorted(path for path in out.iterdir() if path.is_file())), _notes(subject, sizes))


@final
@dataclass(frozen=True)
class Sizes:
    """Bytes that a browser loads, as they lie in the folder; the student and the runtime are packed with gzip."""

    model: int
    runtime: int
    page: int
    """Everything else."""

    @classmethod
    def of(cls, folder: Path, model: str) -> Sizes:
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        runtime = sizes["ort.js"] + sizes["ort.wasm.gz"]
        return cls(sizes[model], runtime, sum(sizes.values()) - sizes[model] - runtime)


def _write_model(subject: Subject, out: Path) -> str:
    """The graph, packed, named by what it holds, so that no cache answers with another one."""
    if subject.manifest is not None:
        graph = (subject.folder / "student" / "model.onnx").read_bytes()
    else:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            if subject.kind is Kind.IMAGE:
                export_image(subject.module, path, image_size(subject))
            else:
                export_onnx(subject.module, path)
            graph = path.read_bytes()
    name = f"model-{hashlib.sha256(graph).hexdigest()[:8]}.onnx.gz"
    (out / name).write_bytes(gzip.compress(graph, compresslevel=9, mtime=0))
    return name


def _reading(subject: Subject) -> dict[str, Any]:
    """How the page turns text into ids."""
    manifest = subject.manifest
    if manifest is not None and manifest.featurizer.kind == "ngrams":
        reader = ngram_reader(manifest.featurizer.buckets, manifest.featurizer.max_tokens)
    elif subject.tokenizer is None:
        raise UsageError(f"{subject.folder} has no tokenizer.json, which the page needs to read text.")
    else:
        tokenizer = Tokenizer.from_file(str(subject.tokenizer))
        if manifest is not None:
            reader = tokenizer_reader(tokenizer, manifest.featurizer.max_tokens, manifest.featurizer.keep)
        else:
            reader = tokenizer_reader(tokenizer, tokens_read(subject.config), "start")
    return {"characters": character_tables(), "reader": reader}


def _description(subject: Subject, model: str, sizes: Sizes) -> dict[str, Any]:
    """What the page knows of the student. The messages before the last one in every prompt are left out.

    They would be public with the page, and the student never reads them.
    """
    manifest = subject.manifest
    answer = _answer(subject)
    described: dict[str, Any] = {
        "name": manifest.name if manifest else subject.folder.name,
        "student": manifest.student if manifest else subject.family,
        "teacher": manifest.teacher if manifest else None,
        "kind": subject.kind.value,
        "reads": "n-grams" if manifest and manifest.featurizer.kind == "ngrams" else "tokens",
        "prompt": {"prefix": manifest.prompt.prefix, "suffix": manifest.prompt.suffix}
        if manifest
        else {"prefix": "", "suffix": ""},
        "answer": answer,
        "temperatures": list(manifest.temperatures) if manifest else [1.0] * len(subject.labels),
        "model": model,
        "runtime": "ort.wasm.gz",
        "bytes": sizes.model + sizes.runtime,
        "about": {
            "sizes": {"model": sizes.model, "runtime": sizes.runtime},
            "runtimeVersion": RUNTIME.version,
            "fields": "; ".join(_field_words(field) for field in answer["fields"]),
            "threshold": _threshold_words(manifest) if manifest else None,
            "certified": _certificate_words(_certificate(subject)),
        },
    }
    if manifest:
        described["threshold"] = manifest.threshold
    if subject.kind is Kind.IMAGE:
        described["picture"] = picture_steps(subject)
    return described


def _answer(subject: Subject) -> dict[str, Any]:
    """Labels as people read them, as they are written in answers, and what stands between them."""
    if subject.manifest is None:
        fields = [{"name": None, "labels": list(labels)} for labels in subject.labels]
        return {"fields": fields, "written": [list(labels) for labels in subject.labels], "pieces": [0]}
    form = subject.manifest.answer
    fields = [
        {"name": field.name, "labels": list(labels)} for field, labels in zip(form.fields, subject.labels, strict=True)
    ]
    return {"fields": fields, "written": [list(field.labels) for field in form.fields], "pieces": list(form.pieces)}


def _field_words(field: Mapping[str, Any]) -> str:
    count = len(field["labels"])
    return f"{field['name']}: one of {count} labels" if field["name"] else f"One of {count} labels"


def _threshold_words(manifest: Manifest) -> str:
    if manifest.threshold is None:
        return "Always: no confidence could be certified"
    return f"Below {_percent(manifest.threshold)} confidence"


def _certificate(subject: Subject) -> Certificate | None:
    try:
        return read_certificate(subject.folder) if subject.manifest else None
    except BundleError:
        return None


def _certificate_words(certificate: Certificate | None) -> str | None:
    if certificate is None or not certificate.test_rows:
        return None
    low, high = certificate.interval
    return (
        f"The same answer as the teacher's on {_percent(certificate.agreement)} of {certificate.test_rows:,} sealed "
        f"calls ({_percent(low)} to {_percent(high)} at {100 * certificate.confidence:.0f} % confidence)"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _notes(subject: Subject, sizes: Sizes) -> tuple[str, ...]:
    whole = sizes.model + sizes.runtime + sizes.page
    notes = [
        f"A browser loads {whole / 1e6:.2f} MB: the student {sizes.model / 1e6:.2f}, ONNX Runtime {RUNTIME.version} "
        f"{sizes.runtime / 1e6:.2f}, the page {sizes.page / 1e6:.2f}.",
        "Serve the folder with any web server; pages opened as files cannot start a worker.",
    ]
    if subject.manifest and subject.manifest.prompt.leading:
        notes.append("The messages before the last one of every prompt are not in the folder: it may be public.")
    return tuple(notes)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False), encoding="utf-8")
