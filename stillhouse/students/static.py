"""The `static` student: token vectors taken from the encoder, averaged with learnt weights, and a small head."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from stillhouse.models.layers import token_embedding
from stillhouse.students.student import Student

__all__ = ["StaticStudent", "static_vectors"]


@final
class StaticStudent(Student):
    """No attention: each token has one vector and one learnt weight; their weighted mean goes through a head.

    The idea of static embeddings distilled from an encoder is Model2Vec's (Tulkens & van Dongen 2024).
    """

    def __init__(self, vectors: Tensor, labels: int) -> None:
        super().__init__()
        tokens, width = vectors.shape
        self.vectors = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.weights = nn.Embedding(tokens, 1)
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, labels)
        nn.init.zeros_(self.weights.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.to(self.head.weight.dtype).unsqueeze(-1)
        weight = self.weights(input_ids).exp() * mask
        mean = (self.vectors(input_ids) * weight).sum(1) / weight.sum(1).clamp(min=1e-6)
        normal = self.norm(mean)
        return self.head(normal + torch.relu(self.hidden(normal)))

    def learning_rates(self) -> list[tuple[nn.Module, float]]:
        return [(self.vectors, 3e-3), (self.weights, 2e-2), (self.norm, 3e-3), (self.hidden, 3e-3), (self.head, 3e-3)]


def static_vectors(encoder: nn.Module, width: int, batch: int = 512) -> Tensor:
    """One vector `[tokens, width]` per token: what the encoder says of the token alone, its main directions kept.

    Each token runs through the encoder by itself; the mean is taken out and the vectors are projected on
    their `width` leading principal directions (Model2Vec, Tulkens & van Dongen 2024).
    """
    tokens = token_embedding(encoder).num_embeddings
    ids = torch.arange(tokens).unsqueeze(-1)
    with torch.no_grad():
        parts = [
            encoder(input_ids=part, attention_mask=torch.ones_like(part)).last_hidden_state[:, 0]
            for part in ids.split(batch)
        ]
    vectors = torch.cat(parts).float()
    vectors = vectors - vectors.mean(0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    projected = vectors @ directions[:width].T
    return projected / projected.norm(dim=1).mean().clamp(min=1e-6)
