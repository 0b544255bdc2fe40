"""What a step looked like: how far the student is from the teacher, and what it and the machine spend."""

from __future__ import annotations

import resource
import sys

import torch
from torch import Tensor

from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Mixture, Projection, Sampled, TopK, flat, labels_of
from stillhouse.objectives.divergences import forward_kl, log_softmax, with_rest

__all__ = ["describe_step"]

POSITIONS = 256
"""So many positions of a micro-batch are looked at: enough for a trend, few enough to cost nothing."""


@torch.no_grad()
def describe_step(student: StudentOutput, teacher: TeacherOutput, batch: Batch) -> dict[str, float]:
    """Figures of one micro-batch, by name; those that need what the teacher does not tell are left out.

    `kl_to_teacher` (nats a position, over the teacher's likeliest and the rest where it tells only those),
    `top1_agreement`, `student_entropy` (nats), `teacher_mass` and `student_mass` (shares that each puts on the
    teacher's support), `memory_mb` (peak of this process, or of the GPU).
    """
    found = {"memory_mb": _memory_mb(batch.labels.device)}
    if student.scores is None:
        return found
    counted = batch.labels >= 0 if teacher.told is None else teacher.told
    index = counted.flatten().nonzero().squeeze(-1)[:POSITIONS]
    said = flat(student.scores)[index]
    logits = said.logits() if isinstance(said, Projection) else said
    if not len(index):
        return found
    q = log_softmax(logits)
    found["student_entropy"] = float(-(q.exp() * q).sum(-1).mean())
    return found | _beside_teacher(q, teacher, index)


def _beside_teacher(q: Tensor, teacher: TeacherOutput, index: Tensor) -> dict[str, float]:
    """How the student's log-probs `[n, labels]` compare with what the teacher told of these positions."""
    if teacher.scores is None or teacher.aligned is not None:  # scores of other tokens are at other places
        return {}
    known = flat(teacher.scores)[index]
    if isinstance(known, Sampled):
        likeliest = known.ids.gather(-1, known.counts.argmax(-1, keepdim=True)).squeeze(-1)
        return {
            "top1_agreement": _share(q.argmax(-1) == likeliest),
            "student_mass": float(q.gather(-1, known.ids).exp().where(known.counts > 0, 0).sum(-1).mean()),
        }
    if isinstance(known, TopK):
        there = known.log_probs.isfinite() & (known.ids < q.shape[-1])
        ids = known.ids.clamp(max=q.shape[-1] - 1)
        said, told = (part.masked_fill(~there, -1e4) for part in (q.gather(-1, ids), known.log_probs.float()))
        return {
            "kl_to_teacher": float(forward_kl(with_rest(said), with_rest(told)).mean()),
            "top1_agreement": _share(q.argmax(-1) == ids.gather(-1, told.argmax(-1, keepdim=True)).squeeze(-1)),
            "teacher_mass": float(told.exp().sum(-1).mean()),
            "student_mass": float(said.exp().sum(-1).mean()),
        }
    labels = min(q.shape[-1], labels_of(known) or q.shape[-1])
    dense = known.logits() if isinstance(known, Projection | Mixture) else known
    p = log_softmax(dense[:, :labels])
    kl = forward_kl(q[:, :labels] - q[:, :labels].logsumexp(-1, keepdim=True), p)
    return {"kl_to_teacher": float(kl.mean()), "top1_agreement": _share(q.argmax(-1) == p.argmax(-1))}


def _share(same: Tensor) -> float:
    return float(same.float().mean())


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
