"""The `encoder-K` student: a pretrained encoder, whole or shrunk to K layers, averaged over tokens, and a head."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from stillhouse.models.layers import blocks, token_embedding
from stillhouse.students.student import Student

__all__ = ["EncoderStudent"]


@final
class EncoderStudent(Student):
    """Logits from the mean of the encoder's last hidden states over the tokens of the text."""

    def __init__(self, encoder: nn.Module, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        width = int(encoder.config.hidden_size)  # pyright: ignore[reportArgumentType, reportAttributeAccessIssue]
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.to(states.dtype).unsqueeze(-1)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return self.head(self.dropout(mean))

    def freeze(self, layers: int) -> None:
        """Keep the token embedding and the first `layers` blocks as they are."""
        for module in (token_embedding(self.encoder), *list(blocks(self.encoder))[:layers]):
            for weight in module.parameters():
                weight.requires_grad_(False)

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        return [(self.encoder, 1.5e-4), (self.head, 1.5e-3)]

    @torch.no_grad()
    def head_from(self, other: EncoderStudent) -> None:
        """Start with another student's head; both read vectors of one width."""
        self.head.load_state_dict(other.head.state_dict())
