"""SoftLabels: how likely a teacher behind an API held each label, by the log-probs that came with its answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import orjson
import torch
from torch import Tensor

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.data.formats import Row, parse_row
from stillhouse.data.soft import soft_labels
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.recipes.answers import kept_answers
from stillhouse.recipes.read_rows import Rows
from stillhouse.recipes.sections import TaskName
from stillhouse.recipes.training import TrainRecipe
from stillhouse.signals.kinds import EVERY_SCORE

__all__ = ["SoftLabels", "heard_labels"]


@final
class SoftLabels:
    """A teacher that remembers its probabilities of labels, `log_probs` `[samples, labels]`, where it gave any.

    `told` `[samples]` says for which samples it did.
    """

    tells = EVERY_SCORE
    tokenizer: str | None = None

    def __init__(self, log_probs: Tensor, told: Tensor) -> None:
        self.log_probs, self.told = log_probs, told

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """What it held of the rows of a batch, which ask for one label each."""
        rows, device = batch.rows.cpu(), batch.rows.device
        return TeacherOutput(self.log_probs[rows].unsqueeze(1), self.told[rows].unsqueeze(1)).to(device)


def heard_labels(recipe: TrainRecipe, rows: Rows, home: Path, numbers: Mapping[str, int]) -> SoftLabels | None:
    """The teacher behind a recipe's API as its answers show it; None where none came with log-probs.

    `rows` are those with its answers, `numbers` the labels' numbers by name. Tokens are followed from where the answer
    begins (see `soft_labels`); an answer that does not repeat a label letter by letter tells its label only.
    """
    api = recipe.teacher.api
    if api is None or recipe.task is not TaskName.CLASSIFICATION:
        return None
    labels = api.known_labels(rows.answers)
    form = AnswerForm((Field(None, labels),), (0,))
    log_probs = torch.zeros(len(rows.inputs), len(numbers))
    told = torch.zeros(len(rows.inputs), dtype=torch.bool)
    index = torch.tensor([numbers[label] for label in labels])
    for at, answer in kept_answers(recipe, rows, home).items():
        heard = _heard(rows.inputs[at], answer)
        found = None if heard is None or heard.answer is None else soft_labels(form, heard.answer, heard.soft)
        if found is not None:
            told[at] = True
            log_probs[at] = -torch.inf
            log_probs[at, index] = torch.from_numpy(found[0]).log()
    return SoftLabels(log_probs.clamp(min=-1e4), told) if told.any() else None


def _heard(text: str, answer: Mapping[str, Any]) -> Row | None:
    """A kept answer as a recorded call, with the tokens of its words; None where it cannot be used."""
    call = {"messages": [{"role": "user", "content": text or " "}], "choices": [answer]}
    row = parse_row(orjson.dumps(call), "", 0)
    return row if isinstance(row, Row) else None
