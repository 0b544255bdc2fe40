"""How much memory a step takes beyond what is there before it: run alone, it prints megabytes.

    python -m tests.objectives.peak POSITIONS LABELS STUDENT_WIDTH TEACHER_WIDTH [LAYERS]

Two language models with tied heads, one forward pass each, forward KL beside cross-entropy through the heads, one
backward pass, one step of AdamW. Weights, gradients and the optimizer's state are taken off.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path

import torch
from torch.optim import AdamW
from transformers import LlamaConfig, LlamaForCausalLM

from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.response import CrossEntropy, ForwardKL

MB = 1 << 20


def status(field: str) -> float:
    """A figure of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / MB for line in lines if line.startswith(field + ":"))


def model(labels: int, width: int, layers: int) -> LlamaForCausalLM:
    size = LlamaConfig(
        vocab_size=labels,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(size)


def says(model: LlamaForCausalLM, ids: torch.Tensor) -> Projection:
    return Projection(model.model(input_ids=ids, use_cache=False).last_hidden_state, model.lm_head.weight)


def step(student: LlamaForCausalLM, teacher: LlamaForCausalLM, optimizer: AdamW, ids: torch.Tensor) -> float:
    batch = Batch({"input_ids": ids}, ids.roll(-1, 1), torch.arange(len(ids)))
    with torch.no_grad():
        told = TeacherOutput(says(teacher, ids))
    sums = (0.8 * ForwardKL(2) + 0.2 * CrossEntropy())(StudentOutput(says(student, ids)), told, batch)
    loss = (sums.total / sums.count).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def main(positions: int, labels: int, widths: tuple[int, int], layers: int) -> None:
    torch.manual_seed(0)
    student, teacher = (model(labels, width, layers) for width in widths)
    optimizer = AdamW(student.parameters(), fused=True)
    ids = torch.randint(labels, (2, positions // 2))
    step(student, teacher, optimizer, ids[:, :8])  # the optimizer's state is there now
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    loss = step(student, teacher, optimizer, ids)
    gradients = sum(weight.numel() * 4 for weight in student.parameters()) / MB
    print(json.dumps({"loss": loss, "beyond_mb": status("VmHWM") - before - gradients}))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(given[0], given[1], (given[2], given[3]), given[4])
