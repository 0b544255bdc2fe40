"""A student opened to be exported or compressed: a bundle, a Transformers or Sentence-Transformers folder, a hub id."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stillhouse.artifacts import hash_file
from stillhouse.bundle.manifest import Manifest, read_manifest
from stillhouse.errors import BundleError, UsageError
from stillhouse.export.subject import Kind, Logits, Subject
from stillhouse.extras import require
from stillhouse.models.adapted import SETTINGS, load_writer
from stillhouse.models.hub import fetch
from stillhouse.models.load import load_classifier, load_encoder, load_image, locate
from stillhouse.recipes.write_bundle import TRAINED
from stillhouse.students.trained import load_trained

__all__ = ["check_files", "kind_of", "open_student"]

MANIFEST = "stillhouse.json"
TOKENIZER = "tokenizer.json"
STACK = "modules.json"
"""What a folder of Sentence-Transformers is known by: the parts that follow one another."""


def open_student(path: Path | str) -> Subject:
    """The student at `path`, in float32 and evaluation mode; raises UsageError or BundleError saying what was seen.

    A bundle is opened as it was trained, from its `trained/` folder, which must be whole. A folder or hub id may hold
    a causal language model (or adapters of one), a text classifier, an image classifier or a sentence encoder.
    """
    require("train", "open a student for export")
    folder = _folder(path)
    if (folder / MANIFEST).is_file():
        return _bundle(folder)
    openers: dict[Kind, Callable[[Path], Subject]] = {
        Kind.CLASSIFIER: _classifier,
        Kind.IMAGE: _image,
        Kind.EMBEDDING: _embedding,
        Kind.LANGUAGE_MODEL: _writer,
    }
    return openers[kind_of(folder)](folder)


def kind_of(path: Path | str) -> Kind:
    """What the student at `path` does, by what its files say of it; no weights are read. Raises as `open_student`."""
    folder = _folder(path)
    if (folder / MANIFEST).is_file():
        return Kind.CLASSIFIER
    if (folder / SETTINGS).is_file():
        return Kind.LANGUAGE_MODEL
    if (folder / STACK).is_file():
        return Kind.EMBEDDING
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{folder} holds neither {MANIFEST} (a bundle) nor config.json (a Transformers model). Give one of these."
        )
    return _kind_by_class(folder)


def _folder(path: Path | str) -> Path:
    if Path(path).is_file():
        raise UsageError(f"{path} is a file. Give the folder of a bundle or of a Transformers model.")
    return fetch(locate(str(path)))


def check_files(bundle: Path, files: dict[str, str]) -> None:
    """Make sure that files of a bundle are there and as they were made; `files` by path inside it, with SHA-256."""
    for name, expected in files.items():
        if not (bundle / name).is_file():
            raise BundleError(f"{bundle} is incomplete: {name} is missing. Copy the whole folder, or distil again.")
        if hash_file(bundle / name) != expected:
            raise BundleError(f"{bundle / name} is not the file this bundle was made with (its hash differs).")


def _bundle(folder: Path) -> Subject:
    manifest: Manifest = read_manifest(folder)
    trained = manifest.run.get(TRAINED)
    if not trained and (folder / "model" / "config.json").is_file():
        raise BundleError(f"{folder} was made by `stillhouse compress`. Give the model in it: {folder / 'model'}")
    if not trained:
        raise BundleError(
            f"{folder} was made by an earlier version, which kept no {TRAINED}/ folder (the student as it was trained, "
            "in float32). Distil again to export it."
        )
    check_files(folder, manifest.files | trained)
    student, build = load_trained(folder / TRAINED)
    if build.labels != manifest.total_labels:
        raise BundleError(f"{folder / TRAINED} has {build.labels} labels, and the manifest {manifest.total_labels}.")
    tokenizer = folder / "student" / TOKENIZER
    return Subject(
        kind=Kind.CLASSIFIER,
        module=student,
        family=build.family,
        folder=folder,
        labels=tuple(
            tuple(field.show(index) for index in range(len(field.labels))) for field in manifest.answer.fields
        ),
        tokenizer=tokenizer if tokenizer.is_file() else None,
        config=build.config or build.sizes,
        manifest=manifest,
    )


def _kind_by_class(folder: Path) -> Kind:
    """What the model of a Transformers folder does, by the class that its configuration names."""
    try:
        written: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names = tuple(written.get("architectures") or ())
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{folder / 'config.json'} cannot be read: {error}") from error
    for ending, kind in (
        ("ForImageClassification", Kind.IMAGE),
        ("ForSequenceClassification", Kind.CLASSIFIER),
        ("ForCausalLM", Kind.LANGUAGE_MODEL),
        ("LMHeadModel", Kind.LANGUAGE_MODEL),
        ("ForMaskedLM", Kind.EMBEDDING),
        ("ForPreTraining", Kind.EMBEDDING),
        ("Model", Kind.EMBEDDING),
    ):
        if any(name.endswith(ending) for name in names):
            return kind
    raise UsageError(
        f"{folder} holds a {', '.join(names) or 'model of no named class'}. What can be opened: bundles, causal "
        "language models, text classifiers, image classifiers and sentence encoders."
    )


def _writer(folder: Path) -> Subject:
    loaded = load_writer(str(folder))
    own = folder / TOKENIZER
    beside = own if own.is_file() else Path(str(loaded.tokenizer.name_or_path)) / TOKENIZER
    return _subject(Kind.LANGUAGE_MODEL, loaded.model, folder, beside)


def _classifier(folder: Path) -> Subject:
    model = load_classifier(str(folder)).model
    return _subject(Kind.CLASSIFIER, model, folder, folder / TOKENIZER, Logits(model).eval())


def _image(folder: Path) -> Subject:
    return _subject(Kind.IMAGE, load_image(str(folder)).model, folder, None)


def _embedding(folder: Path) -> Subject:
    inner = folder / _first_part(folder) if (folder / STACK).is_file() else folder
    return _subject(Kind.EMBEDDING, load_encoder(str(inner)).model.eval(), folder, inner / TOKENIZER)


def _subject(kind: Kind, model: Any, folder: Path, tokenizer: Path | None, module: Any = None) -> Subject:
    config = json.loads(model.config.to_json_string(use_diff=False))
    names = model.config.id2label if kind in (Kind.CLASSIFIER, Kind.IMAGE) else {}
    labels = (tuple(str(names[index]) for index in sorted(names)),) if names else ()
    found = tokenizer if tokenizer is not None and tokenizer.is_file() else None
    return Subject(kind, module or model, model.config.model_type, folder, labels, found, config)


def _first_part(folder: Path) -> str:
    """Where in a Sentence-Transformers folder its Transformers model lies."""
    try:
        listed: Any = json.loads((folder / STACK).read_text(encoding="utf-8"))
        first = listed[0]
        kind, place = str(first["type"]), str(first["path"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UsageError(f"{folder / STACK} cannot be read: {error}") from error
    if not kind.endswith("Transformer"):
        raise UsageError(
            f"{folder} begins with {kind}. Only sentence encoders that begin with a Transformer are taken."
        )
    return place
