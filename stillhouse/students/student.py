"""What every student is: a module from ids to logits, with the featurizer that makes the ids."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

__all__ = ["Student"]


class Student(nn.Module, ABC):
    """Answers with logits `[rows, all labels of all fields]` for ids and mask `[rows, tokens]`."""

    @abstractmethod
    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits of every label of every field, side by side."""

    @abstractmethod
    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        """Its parts, each with the peak learning rate that suits it; together they cover every weight."""
