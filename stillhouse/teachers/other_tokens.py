"""OtherTokens: a teacher with another tokenizer, which reads the same rows in its own tokens beside the student."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Protocol, final

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Aligned, Batch, Layers, TeacherOutput, move
from stillhouse.signals.kinds import Kind
from stillhouse.signals.passages import Chunks, Reading, cut_alike
from stillhouse.signals.token_bytes import Integers, TokenBytes, shared_vocabulary
from stillhouse.teachers.teacher import Teacher

__all__ = ["OtherTokens", "Reads", "check_across"]

_SEEN = 200
"""So many rows show how answers end, and whether the two sides have anything in common."""


class Reads(Protocol):
    """Rows as one tokenizer reads them: a task of language models with its places kept."""

    @property
    def ids(self) -> Sequence[Integers]:
        """The tokens of each row."""
        ...

    @property
    def reading(self) -> Reading | None:
        """Where they lie in the texts."""
        ...

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        """Some rows as padded tensors."""
        ...


@final
class OtherTokens:
    """A language model that reads other tokens than the student, and scores every one of its own.

    Both read the same rows, each by its own chat template; compared are the chunks of the answers that both tokenizers
    cut alike, and what ends an answer on either side. A row is aligned when it is first asked for, once. For
    ChunkLikelihood, SharedVocabularyKL and UniversalLogit; the student learns from the rows of the data, not from
    texts of its own.
    """

    def __init__(self, teacher: Teacher, its: Reads, mine: Reads) -> None:
        """`teacher` scores its own tokens, `its` are the rows as it reads them, `mine` as the student does.

        Raises UsageError where the two have been read without their places, are not the same rows, or have no text in
        common.
        """
        if its.reading is None or mine.reading is None:
            raise UsageError("Both sides must be read with their places: read_chat(rows, tokenizer, placed=True).")
        if len(its.ids) != len(mine.ids):
            raise UsageError(
                f"The teacher reads {len(its.ids)} rows and the student {len(mine.ids)}: give both the same rows."
            )
        if Kind.LOGITS not in teacher.tells:
            raise UsageError(
                "A teacher with another tokenizer must give a score for every token of its own vocabulary."
            )
        self.tells = frozenset({Kind.ALIGNED})
        self.tokenizer = teacher.tokenizer
        self._teacher, self._its, self._mine = teacher, its, mine
        self._readings = mine.reading, its.reading
        self._cut: dict[int, Chunks] = {}
        self._shared = self._shared_ids()
        self._check_common()

    def observe(self, batch: Batch, layers: Layers) -> TeacherOutput:
        """Its scores of the same rows in its own tokens, and the chunks that both cut the answers into."""
        if layers:
            raise UsageError("The inside of a teacher with another tokenizer lies at other places than the student's.")
        rows: list[int] = batch.rows.tolist()
        self._check_rows(batch, rows)
        cut = self._chunks(rows)
        asked = self._its.batch(rows)
        heard = self._teacher.observe(asked, Layers())
        aligned = Aligned(
            asked.labels,
            _at_positions([one.right for one in cut], asked.labels),
            _at_positions([one.left for one in cut], batch.labels),
            max((one.count for one in cut), default=0),
            self._shared,
        )
        return TeacherOutput(heard.scores, aligned=move(aligned, batch.labels.device))

    def _chunks(self, rows: Sequence[int]) -> list[Chunks]:
        """The chunks of some rows, cut now where they have not been before."""
        new = [row for row in dict.fromkeys(rows) if row not in self._cut]
        if new:
            mine, its = ([reading.rows[row] for row in new] for reading in self._readings)
            self._cut.update(zip(new, cut_alike(mine, its), strict=True))
        return [self._cut[row] for row in rows]

    def _check_rows(self, batch: Batch, rows: Sequence[int]) -> None:
        """Refuse a batch that holds anything but the rows that were aligned."""
        ids = batch.inputs["input_ids"].cpu().numpy()
        lengths = batch.inputs["attention_mask"].sum(1).tolist()
        for row, own, length in zip(rows, ids, lengths, strict=True):
            if row >= len(self._mine.ids) or not np.array_equal(own[:length], self._mine.ids[row]):
                raise UsageError(
                    f"The student reads {length} tokens of row {row} that are not those which its teacher's were "
                    "aligned with. A teacher with another tokenizer judges the rows of the data: take an online "
                    "source, not an on-policy one, and read the rows alike (tokenizer, `counts`, `tokens`)."
                )

    def _shared_ids(self) -> tuple[Tensor, Tensor] | None:
        """The ids that write the same bytes, and those that end most answers; None where neither side tells bytes."""
        mine, its = (reading.vocabulary for reading in self._readings)
        if not (_tells_bytes(mine) and _tells_bytes(its)):
            return None
        left, right = shared_vocabulary(mine, its)
        ends = Counter(self._ends())
        if ends:
            closing = max(ends, key=lambda pair: ends[pair])
            if closing[0] not in left and closing[1] not in right:
                left, right = np.append(left, closing[0]), np.append(right, closing[1])
        return torch.from_numpy(left), torch.from_numpy(right)

    def _ends(self) -> list[tuple[int, int]]:
        """The pairs of tokens that end the answers of the first rows."""
        found: list[tuple[int, int]] = []
        for row, (mine, its) in enumerate(islice(zip(*(one.rows for one in self._readings), strict=True), _SEEN)):
            for one, other in zip(mine.passages, its.passages, strict=False):
                if one.closing >= 0 and other.closing >= 0:
                    found.append((int(self._mine.ids[row][one.closing]), int(self._its.ids[row][other.closing])))
        return found

    def _check_common(self) -> None:
        """Refuse two sides that write nothing alike."""
        first = list(range(min(_SEEN, len(self._mine.ids))))
        if first and not any(one.count for one in self._chunks(first)):
            raise UsageError(
                "Nothing that counts is the same text on both sides. Where a conversation counts as a whole, its chat "
                "templates differ: count the answers."
            )


def check_across(needs: frozenset[Kind]) -> None:
    """Refuse an objective that needs more than a teacher with another tokenizer tells."""
    missing = needs - {Kind.ALIGNED, Kind.WORDS}
    if missing:
        raise UsageError(
            "Teacher and student have different tokenizers, so a token of one is none of the other, and the objective "
            f"needs {', '.join(sorted(missing))} over the same tokens. Three objectives compare across tokenizers: "
            "ChunkLikelihood (chunk_likelihood), SharedVocabularyKL (shared_vocabulary_kl) and UniversalLogit "
            "(universal_logit); CrossEntropy (cross_entropy) may stand beside them."
        )


def _tells_bytes(vocabulary: TokenBytes) -> bool:
    return bool((vocabulary.known & ~vocabulary.special & (vocabulary.widths > 0)).any())


def _at_positions(chunks: Sequence[Integers], labels: Tensor) -> Tensor:
    """The chunk of the token that each position asks for, which is the next: `[rows, positions]`."""
    found = np.full(tuple(labels.shape), -1, dtype=np.int64)
    for row, own in enumerate(chunks):
        found[row, : len(own) - 1] = own[1:]
    return torch.from_numpy(found)
