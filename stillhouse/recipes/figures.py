"""How good a student is on some rows, and how close to its teacher: loss, divergence, agreement, accuracy, likeness."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from stillhouse.models.outputs import Batch, Layers, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, Scores, TopK, flat
from stillhouse.objectives.cross_tokenizer import likelihoods_of_chunks
from stillhouse.objectives.divergences import forward_kl, log_softmax, with_rest
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.embedding import likeness
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.tasks.task import Task
from stillhouse.training.look import answers
from stillhouse.training.preferred import judge_pairs
from stillhouse.training.source import Source

__all__ = ["measure"]

CHUNK = 1_024
"""Positions whose logits exist at once."""


def measure(student: nn.Module, task: Task, look: Source) -> dict[str, dict[str, float]]:
    """Figures of the `student` and of the `teacher` over a source's rows, those that data and teacher allow.

    `accuracy` is the share of known labels or tokens that are the likeliest, `loss` their mean negative log-prob in
    nats, and of language models `perplexity` its exponential; `kl_to_teacher` (nats) and `top1_agreement` are means
    over the positions that the teacher told of. Of encoders see `likeness`, of 3 rows or more, of pairs of answers
    `judge_pairs`; where reasons are given, their figures begin with `rationale_`. A teacher of which only the likeliest
    tokens were kept has an accuracy only. Of one with another tokenizer `chunk_loss` is told beside the student's: the
    mean negative log-prob, in nats, of the pieces of text that both cut alike.
    """
    sums, reasons = ({"student": _Sums(), "teacher": _Sums()} for _ in range(2))
    vectors: list[tuple[Tensor, Tensor]] = []
    wanted = Layers(embedding=Kind.EMBEDDING in look.tells and Kind.SOFT not in look.tells)
    look.begin(student, wanted)
    if isinstance(task, PreferenceTask):
        return _of_pairs(answers(student, task, look, wanted))
    for said, told, batch in answers(student, task, look, wanted):
        told = _across(sums, said, told, batch)
        if said.scores is not None:
            _add(sums, flat(said.scores), *_part(0, told, batch))
            if batch.parts is not None:
                _add(reasons, flat(said.scores), *_part(1, told, batch))
        elif said.features.embedding is not None and told.features.embedding is not None:
            vectors.append((said.features.embedding.float().cpu(), told.features.embedding.float().cpu()))
    if vectors:
        mine, its = (torch.cat(part) for part in zip(*vectors, strict=True))
        return {"student": likeness(mine, its) if len(mine) > 2 else {}, "teacher": {}}
    means = {who: each.means() for who, each in sums.items()}
    for who, each in means.items():
        if isinstance(task, ChatTask | RationaleTask) and "loss" in each:
            each["perplexity"] = math.exp(min(each["loss"], 80.0))
        each |= {f"rationale_{name}": value for name, value in reasons[who].means().items()}
    return means


def _of_pairs(heard: Iterator[tuple[StudentOutput, TeacherOutput, Batch]]) -> dict[str, dict[str, float]]:
    """The figures of pairs of answers."""
    sums = {"student": _Sums(), "teacher": _Sums()}
    for said, told, batch in heard:
        for who, judged in judge_pairs(said, told, batch).items():
            for name, values in judged.items():
                sums[who].add(name, values)
    return {who: each.means() for who, each in sums.items()}


def _part(part: int, told: TeacherOutput, batch: Batch) -> tuple[TeacherOutput, Batch]:
    """What was told about one part of the task, and its labels; all of both where there are no parts."""
    if batch.parts is None:
        return told, batch
    mine = (batch.parts == part).unsqueeze(1)
    heard = mine.expand_as(batch.labels) if told.told is None else told.told & mine
    return replace(told, told=heard), replace(batch, labels=batch.labels.masked_fill(~mine, -1))


@final
class _Sums:
    """Figures added up, and over how many positions."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, int]] = {}

    def add(self, name: str, values: Tensor) -> None:
        total, count = self.found.get(name, (0.0, 0))
        self.found[name] = (total + float(values.double().sum()), count + len(values))

    def means(self) -> dict[str, float]:
        return {name: total / count for name, (total, count) in self.found.items() if count}


@torch.no_grad()
def _across(sums: dict[str, _Sums], said: StudentOutput, told: TeacherOutput, batch: Batch) -> TeacherOutput:
    """Compare over chunks where the teacher has another tokenizer; what it tells of the student's own tokens."""
    if told.aligned is None:
        return told
    for who, likely in zip(("student", "teacher"), likelihoods_of_chunks(said, told, batch), strict=True):
        sums[who].add("chunk_loss", -likely)
    return TeacherOutput()


@torch.no_grad()
def _add(sums: dict[str, _Sums], said: Tensor | Projection, told: TeacherOutput, batch: Batch) -> None:
    """Add what one batch shows, some positions at a time."""
    labels = batch.labels.flatten()
    heard = torch.ones_like(labels, dtype=torch.bool) if told.told is None else told.told.flatten()
    counted = (labels >= 0) | heard if told.scores is not None else labels >= 0
    for index in counted.nonzero().squeeze(-1).split(CHUNK):
        q = log_softmax(_dense(said[index]))
        known = labels[index] >= 0
        _compare(sums["student"], q[known], labels[index][known])
        if told.scores is not None:
            there = heard[index]
            _beside(sums, q[there], flat(told.scores)[index[there]], labels[index][there])


def _compare(sums: _Sums, logs: Tensor, labels: Tensor) -> None:
    """Log-probs `[n, labels]` with the answers that are known."""
    inside = labels < logs.shape[-1]
    logs, labels = logs[inside], labels[inside]
    sums.add("loss", -logs.gather(-1, labels.unsqueeze(-1)).squeeze(-1))
    sums.add("accuracy", logs.argmax(-1) == labels)


def _beside(sums: dict[str, _Sums], q: Tensor, known: Scores, labels: Tensor) -> None:
    """The student's log-probs `[n, labels]` with what the teacher told of the same positions."""
    answered = labels >= 0
    if isinstance(known, Sampled | TopK):
        weights: Any = known.counts if isinstance(known, Sampled) else known.log_probs
        likeliest = known.ids.gather(-1, weights.argmax(-1, keepdim=True)).squeeze(-1)
        if isinstance(known, TopK):
            there = known.log_probs.isfinite() & (known.ids < q.shape[-1])
            ids = known.ids.clamp(max=q.shape[-1] - 1)
            mine, its = (part.masked_fill(~there, -1e4) for part in (q.gather(-1, ids), known.log_probs.float()))
            sums["student"].add("kl_to_teacher", forward_kl(with_rest(mine), with_rest(its)))
        sums["teacher"].add("accuracy", likeliest[answered] == labels[answered])
    else:
        p = log_softmax(_dense(known))
        common = min(q.shape[-1], p.shape[-1])
        mine, its = (part[:, :common] - part[:, :common].logsumexp(-1, keepdim=True) for part in (q, p))
        sums["student"].add("kl_to_teacher", forward_kl(mine, its))
        likeliest = p.argmax(-1)
        _compare(sums["teacher"], p[answered], labels[answered])
    sums["student"].add("top1_agreement", q.argmax(-1) == likeliest)


def _dense(scores: Tensor | Projection | Mixture) -> Tensor:
    return scores.logits() if isinstance(scores, Projection | Mixture) else scores.float()
