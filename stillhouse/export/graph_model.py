"""GraphModel: an ONNX graph as a torch module, so that tasks and figures take exported students like trained ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.export.onnx_folder import open_graph

__all__ = ["GraphModel"]

ANSWERS = ("logits", "sentence_embedding")
"""The output that is a student's answer, by what it is called."""
KEPT = "past_key_values."


@final
class GraphModel(nn.Module):
    """Runs a graph on the processor and gives its logits, or its vectors, as a tensor.

    A graph that keeps keys and values is given none, so it reads each row
    from its beginning; positions that it asks for are those of rows padded on the right.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        """`threads`: how many a pass may use, 0 for one on each core."""
        super().__init__()
        self.session = open_graph(path, threads)
        self.inputs = {one.name: one.shape for one in self.session.get_inputs()}
        given = [one.name for one in self.session.get_outputs()]
        self.answer = next((name for name in ANSWERS if name in given), "")
        if not self.answer:
            raise UsageError(f"{path} gives {', '.join(given)}, and none of {', '.join(ANSWERS)}: it is no student.")
        self.place = nn.Parameter(torch.zeros(1), requires_grad=False)  # whoever asks where it is finds the processor

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
    ) -> Tensor:
        given = {
            "pixel_values": pixel_values,
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
        }
        return torch.from_numpy(self.session.run([self.answer], self._feed(given))[0]).float()

    def _feed(self, given: Mapping[str, Tensor | None]) -> dict[str, Any]:
        """What the graph asks for, of what was given."""
        known = {name: value.numpy() for name, value in given.items() if value is not None}
        rows, feed = len(next(iter(known.values()))), dict[str, Any]()
        for name, shape in self.inputs.items():
            if name in known:
                feed[name] = known[name]
            elif name == "position_ids":
                feed[name] = np.broadcast_to(np.arange(known["input_ids"].shape[1]), known["input_ids"].shape)
            elif name.startswith(KEPT):
                feed[name] = np.zeros((rows, int(shape[1]), 0, int(shape[3])), dtype=np.float32)
            else:
                raise UsageError(f"The graph wants {name}, which this task does not give.")
        return feed
