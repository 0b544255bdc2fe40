"""The `words` student: hashed word and character n-grams, and one linear layer."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from stillhouse.students.student import Student

__all__ = ["WordsStudent"]


@final
class WordsStudent(Student):
    """logits = sum over the text's n-grams of their row in a table, divided by sqrt(grams), plus a bias.

    Nothing is pretrained and nothing is looked up but one table: the floor that every other student has to
    beat, and often good enough.
    """

    def __init__(self, buckets: int, labels: int) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets, labels)
        self.bias = nn.Parameter(torch.zeros(labels))
        nn.init.zeros_(self.table.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.to(self.bias.dtype).unsqueeze(-1)
        summed = (self.table(input_ids) * mask).sum(1)
        return summed / mask.sum(1).clamp(min=1).sqrt() + self.bias

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        return [(self, 2e-2)]
