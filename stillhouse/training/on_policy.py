"""Source: the student writes, the teacher judges what it wrote, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, TeacherOutput
from stillhouse.models.rows import join_batches, lengthen
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.task import Task
from stillhouse.teachers.teacher import Teacher
from stillhouse.training.batch import EpochBatches
from stillhouse.training.distributed import gathered
from stillhouse.training.rollout import Speech, ends, prompts, speak
from stillhouse.training.source import Share

__all__ = ["Mix", "OnPolicy"]


@dataclass(frozen=True)
class Mix:
    """Where the text of a row comes from; drawn for each row by itself."""

    written: float = 1.0
    """Share of the rows whose answer the student writes; the others keep the dataset's."""
    replayed: float = 0.0
    """Share of the written ones that are taken from what it wrote before."""
    kept: int = 1024
    """How many answers are kept to be judged again; the oldest go first."""

    def __post_init__(self) -> None:
        for name, value in (("written", self.written), ("replayed", self.replayed)):
            if not 0 <= value <= 1:
                raise UsageError(f"Mix's {name} is a share between 0 and 1; it is {value}.")
        if self.kept < 1:
            raise UsageError(f"Mix's kept must be 1 or more; it is {self.kept}.")


_SEEN = 200
"""So many rows show how answers end."""


class _Answer(NamedTuple):
    """What the student wrote after the prompt of a row."""

    row: int
    tokens: list[int]


@final
class OnPolicy:
    """Prompts of the dataset that the student goes on from, and what the teacher thinks of each of its tokens.

    A prompt is what comes before the last answer of a row of a language model's task; of a bare text, its first token.

    Where the student wrote itself nothing is known to be right, so labels are -1 there: objectives of words count the
    dataset's answers only, soft ones count both. An answer always has a token to judge, its stop if nothing else.
    Agarwal et al. 2023, arxiv.org/abs/2306.13649; replay: Ko et al. 2024, arxiv.org/abs/2402.03898.
    """

    def __init__(
        self,
        task: Task,
        teacher: Teacher,
        rows: Sequence[int],
        size: int,
        seed: int,
        speech: Speech | None = None,
        mix: Mix | None = None,
    ) -> None:
        self._task, self._teacher, self._seed = task, teacher, seed
        self._speech, self._mix = speech or Speech(), mix or Mix()
        self._order = EpochBatches(rows, task.length, size, seed)
        stops = self._speech.stops
        self._stops = ends(task.batch(rows[:_SEEN])) if stops is None and len(rows) else stops or frozenset()
        self._layers = Layers()
        self._student: nn.Module | None = None
        self._fresh: dict[int, _Answer] = {}
        self._kept: list[_Answer] = []

    @property
    def tells(self) -> frozenset[Kind]:
        """Words only where some rows keep the dataset's answer."""
        return self._teacher.tells | (frozenset({Kind.WORDS}) if self._mix.written < 1 else frozenset())

    @property
    def steps(self) -> int:
        return self._order.steps

    @property
    def follows(self) -> bool:
        return True

    def begin(self, student: nn.Module, layers: Layers) -> None:
        self._student, self._layers = student, layers

    def step(self, epoch: int, number: int, share: Share) -> Iterator[tuple[Batch, TeacherOutput]]:
        pieces = share.of(self._order.rows(epoch, number))
        answers = self._answers([row for piece in pieces for row in piece], (epoch, number))
        for piece in pieces:
            batch, asked = self._batch(piece, answers, epoch)
            heard = self._teacher.observe(batch, self._layers)
            told = asked.to(batch.labels.device)
            yield batch, TeacherOutput(heard.scores, told, heard.features, heard.log_probs)

    def stepped(self, student: nn.Module) -> None:
        """Keep what was written in this step, by all processes, in an order that does not depend on who wrote it."""
        if self._mix.replayed:
            new = {answer.row: answer for answer in gathered(list(self._fresh.values()))}
            self._kept = [*self._kept, *(new[row] for row in sorted(new))][-self._mix.kept :]
        self._fresh = {}

    def state(self) -> dict[str, Any]:
        """What is kept to be judged again; which row is written and by which chance follows from the seed."""
        tokens = [token for answer in self._kept for token in answer.tokens]
        return {
            "rows": torch.tensor([answer.row for answer in self._kept], dtype=torch.long),
            "lengths": torch.tensor([len(answer.tokens) for answer in self._kept], dtype=torch.long),
            "tokens": torch.tensor(tokens, dtype=torch.long),
        }

    def restore(self, state: dict[str, Any]) -> None:
        pieces = state["tokens"].split(state["lengths"].tolist())
        self._kept = [_Answer(row, piece.tolist()) for row, piece in zip(state["rows"].tolist(), pieces, strict=True)]
        self._fresh = {}

    def _answers(self, rows: Sequence[int], place: tuple[int, int]) -> Mapping[int, _Answer]:
        """What the student says where it writes itself, by row; all that is new is written at once."""
        found: dict[int, _Answer] = {}
        asked: list[int] = []
        draws: list[np.ndarray] = []
        for row in rows:
            chance = np.random.default_rng((self._seed, *place, row))
            written, replayed, which = chance.random(3)
            if written >= self._mix.written:
                continue
            if self._kept and replayed < self._mix.replayed:
                found[row] = self._kept[int(which * len(self._kept))]
            else:
                asked.append(row)
                draws.append(chance.random(self._speech.tokens))
        if asked:
            if self._student is None:
                raise UsageError(
                    "An on-policy source has to be told who the student is: call its begin(student, layers)."
                )
            before = prompts(self._task.batch(asked))
            said = speak(self._student, before, np.stack(draws), self._stops, self._speech)
            new = {row: _Answer(row, tokens) for row, tokens in zip(asked, said, strict=True)}
            self._fresh |= new
            found |= new
        return found

    def _batch(self, rows: Sequence[int], answers: Mapping[int, _Answer], epoch: int) -> tuple[Batch, Tensor]:
        """The rows' texts as one batch, and where the teacher is asked `[rows, positions]`."""
        batches: list[Batch] = []
        asked: list[Tensor] = []
        given = [row for row in rows if row not in answers]
        if given:
            batches.append(self._task.batch(given, epoch))
            asked.append(self._task.asked(batches[0]))
        mine = [answers[row] for row in rows if row in answers]
        if mine:
            batch, where = _to_judge(mine, prompts(self._task.batch([answer.row for answer in mine])))
            batches.append(batch)
            asked.append(where)
        longest = max(where.shape[1] for where in asked)
        return join_batches(batches), torch.cat([lengthen(where, longest, False) for where in asked])


def _to_judge(answers: Sequence[_Answer], before: Sequence[Sequence[int]]) -> tuple[Batch, Tensor]:
    """Prompts with the answers after them, and the positions `[rows, tokens]` that ask for a token of an answer."""
    longest = max(len(prompt) + len(answer.tokens) for prompt, answer in zip(before, answers, strict=True))
    ids = torch.zeros(len(answers), longest, dtype=torch.long)
    mask, asked = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool)
    for at, (prompt, answer) in enumerate(zip(before, answers, strict=True)):
        end = len(prompt) + len(answer.tokens)
        ids[at, :end] = torch.tensor([*prompt, *answer.tokens])
        mask[at, :end] = 1
        asked[at, len(prompt) - 1 : end - 1] = True
    rows = torch.tensor([answer.row for answer in answers])
    return Batch({"input_ids": ids, "attention_mask": mask}, torch.full_like(ids, -1), rows), asked
