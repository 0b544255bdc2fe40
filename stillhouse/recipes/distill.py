"""From recorded traffic to a certified student: the whole run, top to bottom."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stillhouse.artifacts import hash_file, hash_json
from stillhouse.bundle.certificate import Certificate
from stillhouse.bundle.manifest import Manifest
from stillhouse.data.terms import Book, Use
from stillhouse.data.understand import describe
from stillhouse.errors import TrafficError
from stillhouse.evaluation.certificate import certify
from stillhouse.extras import require
from stillhouse.models.devices import choose as choose_hardware
from stillhouse.models.load import fingerprint
from stillhouse.recipes.account import Facts, keep_record
from stillhouse.recipes.cache import Artifact, StageCache
from stillhouse.recipes.material import Material, gather
from stillhouse.recipes.measure import Choice, Measured, Said, answer_part, choose, judge, measure
from stillhouse.recipes.plan import choose_encoder, find_rungs
from stillhouse.recipes.provenance import provenance
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.recipes.stages import Stages
from stillhouse.recipes.terms import check_data, terms_told
from stillhouse.recipes.write_bundle import TRAINED, check_place, student_files, write_bundle
from stillhouse.reports.record import RunRecord
from stillhouse.students.ladder import Rung
from stillhouse.training.classroom import Classroom
from stillhouse.training.events import Listener, Note
from stillhouse.training.lessons import Part

__all__ = ["Outcome", "distill"]


@dataclass(frozen=True)
class Outcome:
    """What a run made, and where it lies."""

    record: RunRecord
    choice: Choice
    bundle: Path
    hashes: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        record = self.record
        certificate: Certificate = record.certificate
        ladder = [
            {
                "name": rung.name,
                "agreement": rung.quality.agreement,
                "macro_f1": rung.quality.macro_f1,
                "bytes": rung.bytes,
                "precision": rung.precision,
                "latency_ms_p50": rung.speed.latency_ms_p50,
                "latency_ms_p95": rung.speed.latency_ms_p95,
                "throughput_per_s": rung.speed.throughput_per_s,
            }
            for rung in record.rungs
        ]
        return {
            "task": record.manifest.task,
            "labels": record.manifest.total_labels,
            "fields": [{"name": field.name, "labels": len(field.labels)} for field in record.manifest.answer.fields],
            "splits": {name: record.data.splits[name] for name in ("train", "selection", "calibration", "test")},
            "ladder": ladder,
            "chosen": record.chosen,
            "why": self.choice.reason,
            "certificate": certificate.to_json(),
            "bundle": str(self.bundle),
            "hashes": self.hashes,
        }


def distill(
    recipe: DistillRecipe,
    home: Path,
    tell: Listener,
    *,
    fresh: bool = False,
    command: str = "",
    book: Book | None = None,
) -> Outcome:
    """Run a recipe; what an earlier run in this home has finished is not done again.

    The terms of teachers are those of `book`, else those known in the home folder.
    """
    require("train", "distil a student")
    check_place(recipe, home)
    for warning in check_data(recipe.data, Use.TRAIN, home, book=book):
        tell(Note(warning, warning=True))
    encoder, note = choose_encoder(recipe.encoder)
    rungs = find_rungs(recipe, encoder)
    started = time.monotonic()
    cache = StageCache(home, tell, fresh)
    with cache.locked():
        if note:
            tell(Note(note, warning=True))
        material = _read(recipe, cache, tell)
        room = Classroom(material.lessons, encoder, recipe.seed, choose_hardware(), freeze=recipe.freeze)
        stages = Stages(cache, room, fingerprint(encoder) if encoder else None, recipe.max_minutes)
        assistant = stages.assistant() if stages.encoder else None
        ladder = _climb(stages, rungs, assistant, recipe, tell)
        choice = choose(ladder, recipe.terms)
        tell(Note(f"Chosen: {choice.name}, {choice.reason}."))
        chosen = next(rung for rung in ladder if rung.record.name == choice.name)
        said, certificate = _certify(recipe, material, chosen)
        manifest = _manifest(recipe, material, chosen, certificate)
        facts = Facts(recipe, material, stages.room.hardware, time.monotonic() - started, command)
        record = keep_record(facts, manifest, certificate, ladder, said)
        record = replace(record, terms=terms_told(recipe.data, home, book=book))
        candidate = chosen.candidate
        write_bundle(recipe.out, candidate.served_files, record, candidate.trained_files)
    return Outcome(record, choice, recipe.out, _hashes(recipe.out))


def _read(recipe: DistillRecipe, cache: StageCache, tell: Listener) -> Material:
    material = gather(recipe, cache.folder.parent / "bad-rows.jsonl")
    for line in describe(material.traffic.prompt, material.traffic.answer):
        tell(Note(line))
    for part, name in ((material.lessons.selection, "selection"), (material.test, "test")):
        if not len(part):
            raise TrafficError(f"No row is left for the {name} part. Give more different rows.")
    counts = ", ".join(f"{name} {rows:,}" for name, rows in material.split.report.rows.items() if rows)
    tell(Note(f"Rows: {counts}."))
    aside = f"{cache.folder.parent}/*bad-rows.jsonl"
    if material.bad:
        tell(Note(f"{material.bad:,} bad rows are left out, and kept aside in {aside}.", warning=True))
    if material.outside:
        outside = f"{material.outside:,} answers are none that a student could give: each counts as a disagreement"
        listed = f" They are listed in {aside}." if recipe.reading.skip_bad_rows else ""
        tell(Note(f"{outside} where it is measured.{listed}", warning=True))
    return material


def _climb(
    stages: Stages, rungs: tuple[Rung, ...], assistant: Artifact | None, recipe: DistillRecipe, tell: Listener
) -> list[Measured]:
    """Every rung trained, exported and measured, cheapest first; dearer ones are left out when time is up."""
    ladder: list[Measured] = []
    for rung in rungs:
        if ladder and time.monotonic() > stages.deadline and rung.layers != stages.room.encoder_layers:
            tell(Note(f"Time is up: {rung.name} and what is dearer was left out.", warning=True))
            break
        candidate = stages.candidate(rung, assistant)
        pace = stages.pace(candidate)
        lessons = stages.lessons
        ladder.append(measure(candidate, pace, lessons.selection, lessons.sizes, recipe.terms))
    return ladder


def _certify(recipe: DistillRecipe, material: Material, chosen: Measured) -> tuple[Said, Certificate]:
    """What the chosen student says of the sealed part, looked at for the first time, and what that proves."""
    sizes, student = material.lessons.sizes, chosen.candidate.open(threads=0)

    def answers(part: Part) -> Said:
        return answer_part(student.logits(part.texts), sizes, chosen.candidate.temperatures)

    said = answers(material.test)
    certificate = certify(
        sealed=judge(said, material.test),
        calibration=judge(answers(material.calibration), material.calibration),
        selection=chosen.answers,
        terms=recipe.terms,
        provenance=provenance(recipe, material, chosen),
    )
    return said, certificate


def _manifest(recipe: DistillRecipe, material: Material, chosen: Measured, certificate: Certificate) -> Manifest:
    candidate = chosen.candidate
    return Manifest(
        name=recipe.student_name,
        student=candidate.rung.name,
        teacher=material.traffic.teacher,
        prompt=material.traffic.prompt,
        answer=material.traffic.answer,
        featurizer=candidate.featurizer,
        temperatures=candidate.temperatures,
        threshold=certificate.cascade.threshold,
        files=student_files(candidate.served_files),
        run=certificate.provenance | {"trained": student_files(candidate.trained_files, TRAINED)},
    )


def _hashes(bundle: Path) -> dict[str, str]:
    """What two runs with one seed have in common: the student, the manifest and the certificate."""
    students = [file for part in ("student", TRAINED) for file in sorted((bundle / part).iterdir())]
    files = [*students, bundle / "stillhouse.json", bundle / "certificate.json"]
    hashes = {file.relative_to(bundle).as_posix(): hash_file(file) for file in files}
    return hashes | {"all": hash_json(hashes)}
