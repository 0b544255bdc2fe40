"""A student exported: opened, written for a runtime, run there on the same inputs, and put in its place when alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, final

from stillhouse import settings
from stillhouse.artifacts import hash_file
from stillhouse.errors import UsageError
from stillhouse.export.folders import check_out, written_whole
from stillhouse.export.subject import Exported, Kind, Subject, refuse_kind
from stillhouse.export.verify import Parity, Samples, Tolerance, check
from stillhouse.models.factored import has_factors, merge
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.provenance import versions
from stillhouse.recipes.samples import Bytes, draw_samples, read_pictures, read_samples, seen_pictures
from stillhouse.recipes.terms import attributions, terms_beside

__all__ = ["RECORD", "TARGETS", "Outcome", "Target", "export_student"]

RECORD = "export.json"
"""The file by which a folder is known as an export, and may be replaced by another."""

MERGED = "Its low-rank factors were multiplied out: it answers as before, and is as large as before it was factored."


@final
@dataclass(frozen=True)
class Target:
    """A runtime that students are exported to."""

    write: Callable[[Subject, Path], Exported]
    """Writes into a folder; raises UsageError for a kind that it does not take."""
    verify: Callable[[Subject, Path, Samples], Parity]
    """Runs what was written in its own runtime, and compares."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    absent: Callable[[], str | None] = lambda: None
    """Why what was written cannot be run on this machine, where it cannot; such an export is kept unverified."""
    calibrated: Callable[[Subject, Path, Bytes], Exported] | None = None
    """Writes a student of pictures whose ranges are chosen by real ones, where that runtime has such."""
    fetching: Callable[[Subject, Path, Path], Exported] | None = None
    """Writes with what is fetched once and kept in a home, its last argument, where that runtime needs such."""
    dense: bool = False
    """Whether low-rank factors are multiplied out, since whoever reads it knows none."""


def _onnx() -> Target:
    from stillhouse.export.onnx_folder import export_onnx_folder, verify_onnx_folder

    return Target(export_onnx_folder, verify_onnx_folder)


def _onnx_text() -> Target:
    from stillhouse.export.text_graph import export_text_graph, verify_text_graph

    return Target(export_text_graph, verify_text_graph)


def _safetensors() -> Target:
    from stillhouse.export.safetensors import export_safetensors, verify_safetensors

    return Target(export_safetensors, verify_safetensors, dense=True)


def _gguf(form: str) -> Target:
    from stillhouse.export.gguf import export_gguf
    from stillhouse.export.gguf_readback import verify_gguf
    from stillhouse.export.llama_runtime import TOLERANCES

    return Target(lambda subject, out: export_gguf(subject, out, form), verify_gguf, TOLERANCES[form], dense=True)


def _ort() -> Target:
    from stillhouse.export.ort_mobile import export_ort, verify_ort

    return Target(export_ort, verify_ort)


def _c() -> Target:
    from stillhouse.export.c import C_TOLERANCE, export_c, no_compiler, verify_c

    return Target(export_c, verify_c, C_TOLERANCE, no_compiler, calibrated=export_c)


def _web() -> Target:
    from stillhouse.export.web import export_web
    from stillhouse.export.web_check import WEB_TOLERANCE, no_node, verify_web

    write = partial(export_web, home=settings.home())
    return Target(write, verify_web, WEB_TOLERANCE, no_node, fetching=export_web)


def _transformers_js() -> Target:
    from stillhouse.export.transformers_js import export_transformers_js, verify_transformers_js

    return Target(export_transformers_js, verify_transformers_js)


def _executorch() -> Target:
    from stillhouse.export.executorch import export_executorch, verify_executorch

    return Target(export_executorch, verify_executorch)


def _executorch_int8() -> Target:
    from stillhouse.export.executorch import INT8_TOLERANCE, export_executorch, verify_executorch

    def calibrated(subject: Subject, out: Path, pictures: Bytes) -> Exported:
        return export_executorch(subject, out, "int8", seen_pictures(subject, pictures))

    write = partial(export_executorch, quantize="int8")
    return Target(write, verify_executorch, INT8_TOLERANCE, calibrated=calibrated)


TARGETS: Mapping[str, Callable[[], Target]] = {
    "onnx": _onnx,
    "onnx-text": _onnx_text,
    "safetensors": _safetensors,
    "gguf": partial(_gguf, "f16"),
    **{f"gguf-{form}": partial(_gguf, form) for form in ("f32", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")},
    "ort": _ort,
    "executorch": _executorch,
    "executorch-int8": _executorch_int8,
    "c": _c,
    "web": _web,
    "transformers-js": _transformers_js,
}
"""Every export by its name after `--to`; what it needs is imported when it is chosen."""


@final
@dataclass(frozen=True)
class Outcome:
    """What an export made, where it lies, and how alike it answers."""

    out: Path
    to: str
    parity: Parity
    tolerance: Tolerance
    samples: str
    files: dict[str, str]
    """Every file by its path in the folder, with its SHA-256."""
    notes: tuple[str, ...]
    terms: tuple[Mapping[str, Any], ...] = ()
    """On whose terms the student learnt, as its record says."""

    def to_json(self) -> dict[str, Any]:
        """What `export.json` and `--json` say; holds no time, path or machine but where it lies."""
        return {
            "to": self.to,
            "parity": asdict(self.parity),
            "tolerance": asdict(self.tolerance),
            "samples": self.samples,
            "files": self.files,
            "notes": list(self.notes),
            **({"terms": list(self.terms)} if self.terms else {}),
        }


def export_student(
    student: Path | str,
    to: str,
    out: Path,
    file: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
    pictures: Path | None = None,
    home: Path | None = None,
) -> Outcome:
    """Export `student` into the folder `out`, which appears whole and verified, or not at all.

    It is compared on the rows of `file`, else on `pictures` or on rows that are drawn. By the `pictures` of a .npz file
    ranges are chosen where a runtime computes in whole numbers. What a runtime fetches is kept in `home`, by default
    that of the settings. Raises UsageError, BundleError, or ExportMismatch where the export does not answer as the
    student.
    """
    target = _target(to)
    write, absent = _writer(target, to, pictures, home), target.absent()
    if absent and file is not None:
        raise UsageError(absent)
    kept = (Path(student), *([file] if file else []), *([pictures] if pictures else []))
    check_out(out, RECORD, [each for each in kept if each.exists()])
    tell(f"Opening {student}")
    subject = open_student(student)
    if pictures is not None:
        refuse_kind(subject, "--pictures", Kind.IMAGE)
    merged = target.dense and has_factors(subject.module)
    if merged:
        merge(subject.module)
    rows = file or pictures
    samples = draw_samples(subject) if rows is None else read_samples(subject, rows)
    with written_whole(out) as waiting:
        tell(f"Writing {to}")
        made = write(subject, waiting)
        if not absent:
            tell(f"Comparing on {samples.origin}")
        found = Parity(1.0, 0.0, 0) if absent else target.verify(subject, waiting, samples)
        parity = check(found, target.tolerance, f"The export to {to}")
        terms = terms_beside(subject.folder)
        notes = (*made.notes, *([MERGED] if merged else []), *([absent] if absent else []), *attributions(terms))
        files = _hashes(waiting)
        outcome = Outcome(out.resolve(), to, parity, target.tolerance, samples.origin, files, notes, terms)
        _write_record(waiting / RECORD, subject, outcome)
    return outcome


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise UsageError(f"Nothing is exported to {name!r}. Choose one of: {', '.join(TARGETS)}.")
    return TARGETS[name]()


def _writer(target: Target, to: str, pictures: Path | None, home: Path | None) -> Callable[[Subject, Path], Exported]:
    """What writes a student, with the ranges that `pictures` show where there are any, or with what is in `home`."""
    if pictures is None:
        fetching = target.fetching
        return target.write if fetching is None or home is None else lambda subject, out: fetching(subject, out, home)
    if target.calibrated is None:
        takers = ", ".join(name for name, each in TARGETS.items() if each().calibrated)
        raise UsageError(f"An export to {to} chooses no ranges by pictures; these do: {takers}.")
    calibrated, pixels = target.calibrated, read_pictures(pictures)
    return lambda subject, out: calibrated(subject, out, pixels)


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hash_file(path) for path in files}


def _write_record(path: Path, subject: Subject, outcome: Outcome) -> None:
    origin = {"kind": subject.kind.value, "family": subject.family, "name": subject.folder.name}
    if subject.manifest is not None:
        origin |= {"name": subject.manifest.name, "student": subject.manifest.student}
    record = {"format": 1, "from": origin, **outcome.to_json(), "versions": versions()}
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
