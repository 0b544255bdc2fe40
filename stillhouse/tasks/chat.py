"""Chat: causal language models that learn to answer conversations, to complete prompts, or to go on with a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Encoding
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.forward import capture
from stillhouse.models.heads import project
from stillhouse.models.outputs import Batch, Features, Layers, StudentOutput
from stillhouse.models.packing import Lines, Tried, lines_of
from stillhouse.models.scores import Projection
from stillhouse.models.tokenizers import Ids, pad
from stillhouse.signals.passages import Passage, Placed, Reading
from stillhouse.signals.spans import spans_of_encodings
from stillhouse.signals.token_bytes import TokenBytes, read_token_bytes
from stillhouse.tasks.turns import Counts, Row, Script, render_with, write

__all__ = ["ChatTask", "read_chat"]

Flags = npt.NDArray[np.bool_]
LENGTHS = 4
"""Batches are a multiple of this long: a CPU makes its kernels anew for every shape, which costs more than padding."""


@final
@dataclass(frozen=True)
class ChatTask:
    """`ids` per sample, and `counted`, which of its tokens the student is to learn.

    A batch's labels are shifted once, here: position t asks for token t + 1, and is -1 where that token does not
    count. Scores come as a Projection over the first `vocabulary` tokens, so that rows that pad a head never count.
    With `packed`, rows share lines while a model runs, and batches, scores and signals stay row by row; a model that
    would let rows see each other is refused.
    """

    ids: Sequence[Ids]
    counted: Sequence[Flags]
    vocabulary: int
    padding: int = 0
    """The id that fills short rows."""
    packed: bool = False
    reading: Reading | None = field(default=None, repr=False, compare=False)
    """Where the tokens lie in the texts, if that was wanted (`placed`)."""
    tried: Tried = field(default_factory=Tried, init=False, repr=False, compare=False)

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        ids, mask = pad([self.ids[row] for row in rows], LENGTHS, self.padding)
        labels = np.full_like(ids, -1)
        for at, row in enumerate(rows):
            tokens, counted = self.ids[row], self.counted[row]
            labels[at, : len(tokens) - 1] = np.where(counted[1:], tokens[1:], -1)
        inputs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        return Batch(inputs, torch.from_numpy(labels), torch.tensor(rows))

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        mask = batch.inputs["attention_mask"]
        lines = self._lines(student, batch, layers) if self.packed else None
        with capture(student, layers) as caught:
            scores = project(student, batch.inputs if lines is None else lines.inputs, self.vocabulary)
        features = caught.features()
        if lines is not None:
            scores, features = _in_rows(scores, features, lines)
        if layers.embedding:
            features = replace(features, embedding=_mean_state(scores, mask))
        return StudentOutput(scores, features)

    def asked(self, batch: Batch) -> Tensor:
        return batch.labels >= 0

    def length(self, row: int) -> int:
        return len(self.ids[row])

    def _lines(self, student: nn.Module, batch: Batch, layers: Layers) -> Lines:
        if layers.attention or layers.heads:
            raise UsageError("Attention and heads cannot be caught while rows share lines; train without packing.")
        self.tried.check(student)
        return lines_of(batch.inputs["input_ids"], batch.inputs["attention_mask"], self.padding)


def read_chat(
    rows: Sequence[Row],
    tokenizer: Any,
    counts: Counts = Counts.ANSWERS,
    tokens: int = 512,
    packed: bool = False,
    placed: bool = False,
) -> ChatTask:
    """Rows of training material through a fast tokenizer of Transformers; sample i is row i.

    Of a row longer than `tokens` the beginning is left out (but for the token that begins every text), so that the
    answer stays; what follows the last token that counts is left out too. Texts and completions end with the
    tokenizer's end token, which counts. With `placed` it is kept where the tokens lie in the texts, so that a teacher
    with another tokenizer can be asked (`OtherTokens`). Raises UsageError naming the row where nothing would count, or
    the chat template does not give answers back.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError("Which tokens count is told by offsets, which this tokenizer has not: give a fast tokenizer.")
    if tokens < 2:
        raise UsageError(f"A row needs 2 tokens or more to learn from; `tokens` is {tokens}.")
    render, counts = render_with(tokenizer), Counts(counts)
    vocabulary = read_token_bytes(tokenizer.backend_tokenizer) if placed else None
    ids: list[Ids] = []
    counted: list[Flags] = []
    places: list[Placed] = []
    for at, row in enumerate(rows):
        script = _script(at, row, render, counts)
        read = _tokenized(script, tokenizer)
        kept = _kept(read, tokens, tokenizer.bos_token_id)
        if not read.counted[kept][1:].any():
            raise UsageError(f"Row {at} is too short to learn from: no token that counts follows another.")
        ids.append(read.ids[kept])
        counted.append(read.counted[kept])
        if vocabulary is not None:
            places.append(_placed(read, script, vocabulary).keep(kept))
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    real = max(tokenizer.get_vocab().values()) + 1  # numbers of added tokens may leave gaps
    reading = None if vocabulary is None else Reading(vocabulary, places)
    return ChatTask(ids, counted, real, padding or 0, packed, reading)


def _script(at: int, row: Row, render: Any, counts: Counts) -> Script:
    try:
        return write(row, render, counts)
    except UsageError as error:
        raise UsageError(f"Row {at}: {error}") from error


@dataclass(frozen=True)
class _Read:
    """A script as a tokenizer reads it: `ids` and which of them count, `[tokens]`.

    `pieces` are the texts that were tokenized apart, each with the character where it begins; the tokens of the first
    come after `before` others.
    """

    ids: Ids
    counted: Flags
    pieces: Sequence[tuple[int, str, Encoding]]
    before: int


def _tokenized(script: Script, tokenizer: Any) -> _Read:
    """Ids and what counts of them; a token counts where its end lies in a part that counts.

    Where a token would reach from a question into its answer the two are tokenized apart, as they are in use.
    """
    whole = _encoded(tokenizer, script.text, script.bare)
    ids, ends = whole.ids, _ends(whole)
    pieces, before = [(0, script.text, whole)], 0
    joints = sorted({first for first, _ in script.counted if first} - set(ends))
    if joints and ids:
        before = next((at for at, end in enumerate(ends) if end), len(ends))
        behind = len(ends) if ends[-1] else max(at + 1 for at, end in enumerate(ends) if end)
        texts = [(start, script.text[start:end]) for start, end in pairwise([0, *joints, len(script.text)])]
        pieces = [(start, text, _encoded(tokenizer, text, False)) for start, text in texts]
        ids = [*ids[:before], *(token for _, _, read in pieces for token in read.ids), *ids[behind:]]
        inner = (start + end for start, _, read in pieces for end in _ends(read))
        ends = [*ends[:before], *inner, *ends[behind:]]
    if script.bare and tokenizer.eos_token_id is not None and (not ids or ids[-1] != tokenizer.eos_token_id):
        ids, ends = [*ids, tokenizer.eos_token_id], [*ends, 0]
    reached = np.array(ends, dtype=np.int64)
    flags = np.zeros(len(ids), dtype=np.bool_)
    for first, last in script.counted:
        flags |= (reached > first) & (reached <= last)
    if script.bare and len(ids) and ids[-1] == tokenizer.eos_token_id:
        flags[-1] = True
    return _Read(np.asarray(ids, dtype=np.int64), flags, pieces, before)


def _encoded(tokenizer: Any, text: str, specials: bool) -> Encoding:
    return tokenizer(text, add_special_tokens=specials, return_offsets_mapping=True).encodings[0]


def _ends(read: Encoding) -> list[int]:
    """Where in the text each token ends, in characters; 0 for those that the tokenizer adds."""
    return [end for _, end in read.offsets]


def _placed(read: _Read, script: Script, vocabulary: TokenBytes) -> Placed:
    """Where the tokens of a script lie in the bytes of its text, and the parts of it that count."""
    starts, ends = (np.full(len(read.ids), -1, dtype=np.int64) for _ in range(2))
    texts = [text for _, text, _ in read.pieces]
    spans = spans_of_encodings(vocabulary, [encoding for *_, encoding in read.pieces], texts)
    at = read.before
    for number, (first, _, encoding) in enumerate(read.pieces):
        own, shift = slice(at, at + len(encoding.ids)), _bytes(script.text, first)
        for side, found in ((starts, spans.starts), (ends, spans.ends)):
            inside = found[number, : len(encoding.ids)]
            side[own] = np.where(inside >= 0, inside + shift, -1)
        at = own.stop
    special = vocabulary.special[read.ids]
    parts = zip(script.counted, script.said, strict=True)
    return Placed(starts, ends, tuple(_passage(script, *part, (starts, ends, special)) for part in parts))


def _passage(script: Script, part: tuple[int, int], said: tuple[int, int], tokens: tuple[Ids, Ids, Flags]) -> Passage:
    """A part that counts, without the special tokens that end it."""
    starts, ends, special = tokens
    first, last = (_bytes(script.text, place) for place in part)
    inside = np.flatnonzero((starts >= first) & (starts < last) & (ends <= last))
    closing, end = -1, last
    for place in inside[::-1].tolist():
        if not special[place]:
            break
        closing, end = place, int(starts[place])
    if closing < 0 and script.bare and len(starts) and starts[-1] < 0:
        closing = len(starts) - 1
    text = script.text[slice(*part)].encode()[: end - first]
    words = [_bytes(script.text, place) - first for place in said]
    return Passage(first, text, (words[0], words[1]), closing)


def _bytes(text: str, characters: int) -> int:
    """How many bytes so many characters take."""
    return len(text[:characters].encode())


def _kept(read: _Read, tokens: int, begin: int | None) -> Ids:
    """The places of at most `tokens` tokens, the last of which counts, from the end; what begins every text stays."""
    last = int(read.counted.nonzero()[0].max(initial=-1)) + 1
    if last <= tokens:
        return np.arange(last)
    begins = begin is not None and read.ids[0] == begin
    return np.r_[0, last - tokens + 1 : last] if begins else np.arange(last - tokens, last)


def _in_rows(scores: Tensor | Projection, features: Features, lines: Lines) -> tuple[Tensor | Projection, Features]:
    """Scores and hidden states of lines, row by row."""
    scores = replace(scores, states=lines.back(scores.states)) if isinstance(scores, Projection) else lines.back(scores)
    return scores, replace(features, hidden={layer: lines.back(states) for layer, states in features.hidden.items()})


def _mean_state(scores: Tensor | Projection, mask: Tensor) -> Tensor:
    """The mean over a row's tokens of what enters the head, `[rows, hidden]`."""
    if not isinstance(scores, Projection):
        raise UsageError("This model names no output head, so what enters it is not known: it gives no embedding.")
    where = mask.unsqueeze(-1).bool()
    return scores.states.masked_fill(~where, 0).sum(1) / where.sum(1).clamp(min=1)
