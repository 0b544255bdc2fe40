"""The training of a job on `stillhouse/auto`: the ladder of small students climbed, and the one that is good enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stillhouse.data.terms import Book, Terms
from stillhouse.jobs.job_folder import JobFolder
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.training.events import Event, Note, StageStarted

__all__ = ["BUNDLE", "climb"]

BUNDLE = "bundle"
"""The folder in a job's folder that takes the student and its certificate."""
SHOWN = 512
"""Characters that a value of a job's metadata may have."""


def climb(
    folder: JobFolder,
    name: str,
    seed: int,
    students: Sequence[str] = ("auto",),
    terms: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Distil one of some students, to be called `name`, from the rows of a job, and tell what it promises.

    `terms` are those of teachers, as the worker knows them; the model card lists them. Rows kept as `valid` replace the
    sealed part. Killed and called again it does not do again what was finished. Raises TrafficError when the answers
    are no labels.
    """
    from stillhouse.recipes.distill import distill
    from stillhouse.reports.sentences import cascade_promise, verdict_sentence

    holdout = folder.path / "valid.jsonl"
    recipe = DistillRecipe(
        traffic=(folder.path / "train.jsonl",),
        out=folder.path / BUNDLE,
        holdout=holdout if holdout.is_file() else None,
        students=tuple(students),
        seed=seed,
        name=name,
    )
    book = Book({each["teacher"]: Terms.from_json(each) for each in terms})
    outcome = distill(recipe, folder.path / "stages", _listener(folder.tell), book=book)
    told = outcome.to_json()
    for number, rung in enumerate(told["ladder"], 1):
        folder.tell({"rung": number, "name": rung["name"], "valid_mean_token_accuracy": rung["agreement"]})
    certificate = outcome.record.certificate
    verdict, promise = verdict_sentence(certificate), cascade_promise(certificate.cascade)
    metadata = {"student": told["chosen"], "certificate": verdict[:SHOWN], "certificate_cascade": promise[:SHOWN]}
    folder.tell({"certificate": certificate.to_json(), "words": f"{verdict} {promise}", "metadata": metadata})


def _listener(tell: Callable[[Mapping[str, Any]], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        match event:
            case Note(text=text, warning=warning):
                tell({"note": text, "warning": warning})
            case StageStarted(title=title):
                tell({"note": f"{title} ...", "warning": False})
            case _:
                pass

    return listen
