"""Decode: a Transformers model writes many answers at once; calls join the running batch between two steps."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from stillhouse.errors import ModelFailed, UsageError
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.kv_cache import holds_all, joined, new_cache, put, taken
from stillhouse.inference.row import Row
from stillhouse.inference.sampling import choose
from stillhouse.models.adapted import load_writer
from stillhouse.wire.errors import Overloaded

__all__ = ["Batch", "Decoder", "Limits"]


@dataclass(frozen=True)
class Limits:
    """How much is done at once, and how much may wait."""

    rows: int = 16
    """Answers that are written together."""
    waiting: int = 256
    """Answers that may wait for that; further calls are refused."""
    tokens: int = 8192
    """Tokens of prompts that are read together, while the answers under way wait."""

    def __post_init__(self) -> None:
        if min(self.rows, self.waiting, self.tokens) < 1:
            raise UsageError(f"A model writes 1 answer or more at once: {self}.")


@final
class Batch:
    """Rows that are written together: their keys and values, and what each wrote last.

    Rows are padded on the left, so that all end at the same column. A model whose memory is more than keys and values
    (as with linear attention) writes one row at a time.
    """

    def __init__(self, model: nn.Module) -> None:
        """Raises UsageError for a model that keeps no memory of what it has read."""
        self.rows: list[Row] = []
        """Those that are over stay until the next step, so that new ones can take their places."""
        self._model: Any = model
        self._takes = frozenset(inspect.signature(model.forward).parameters)
        self._device = next(model.parameters()).device
        self._cache: Any = None
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=self._device)
        self._next: list[int] = []
        self._starts: list[int] = []
        joins, self.vocabulary = self._try_out()
        self.most = None if joins else 1
        """How many rows there may be; None: any number."""

    @property
    def live(self) -> int:
        """How many rows are not over."""
        return sum(not row.is_over for row in self.rows)

    @torch.inference_mode()
    def join(self, rows: Sequence[Row]) -> None:
        """Read the prompts of new rows, choose the first token of each, and go on with those that are not over."""
        if not self.live:
            self.sweep()
        prompts = list(dict.fromkeys([row.order.prompt for row in rows]))
        longest = max(map(len, prompts))
        ids, mask = np.zeros((len(prompts), longest), dtype=np.int64), np.zeros((len(prompts), longest), dtype=np.int64)
        for at, prompt in enumerate(prompts):
            ids[at, longest - len(prompt) :] = prompt
            mask[at, longest - len(prompt) :] = 1
        cache, read = self._new_cache(), torch.from_numpy(mask).to(self._device)
        logits = self._forward(torch.from_numpy(ids).to(self._device), read, cache)
        which = [prompts.index(row.order.prompt) for row in rows]
        tokens = choose(logits[which], rows)
        stay = [at for at, row in enumerate(rows) if not row.is_over]
        if not stay:
            return
        sources = [which[at] for at in stay]
        if self.most is None and sources != list(range(len(prompts))):
            cache = taken(cache, sources, 0)
        self._settle([rows[at] for at in stay], [tokens[at] for at in stay], cache, read[sources])

    @torch.inference_mode()
    def step(self) -> None:
        """One more token for every row; those that are over leave."""
        self.sweep()
        if not self.rows:
            return
        self._mask = nn.functional.pad(self._mask, (0, 1), value=1)
        ids = torch.tensor(self._next, device=self._device).unsqueeze(-1)
        self._next = choose(self._forward(ids, self._mask, self._cache), self.rows)

    def sweep(self) -> None:
        """Leave out the rows that are over, and columns that none of the others needs, where it is worth the copy."""
        stay = [at for at, row in enumerate(self.rows) if not row.is_over]
        first = min([self._starts[at] for at in stay], default=0)
        if len(stay) == len(self.rows) and 2 * first <= self._mask.shape[1]:
            return
        self.rows, self._next = [self.rows[at] for at in stay], [self._next[at] for at in stay]
        self._starts = [self._starts[at] - first for at in stay]
        if stay:
            self._mask, self._cache = self._mask[stay, first:], taken(self._cache, stay, first)
        else:
            self._cache = None

    def _settle(self, rows: list[Row], tokens: list[int], cache: Any, read: Tensor) -> None:
        """Give rows whose prompts have been read their places: of rows that are over, if there are enough of them."""
        free = [at for at, row in enumerate(self.rows) if row.is_over][: len(rows)]
        size, lengths = read.shape[1], read.sum(-1).tolist()
        columns = max(size, self._mask.shape[1]) if self.rows else size
        starts = [columns - length for length in lengths]
        if self.rows and len(free) == len(rows) and columns == self._mask.shape[1]:
            put(self._cache, free, cache)
            self._mask[free] = _padded(read, columns)
            for at, row, token, start in zip(free, rows, tokens, starts, strict=True):
                self.rows[at], self._next[at], self._starts[at] = row, token, start
            return
        if self.rows:
            self._cache = joined(self._cache, cache)
            self._starts = [start + columns - self._mask.shape[1] for start in self._starts]
            self._mask = torch.cat([_padded(self._mask, columns), _padded(read, columns)])
        else:
            self._cache, self._mask, self._next, self._starts = cache, read, [], []
        self.rows += rows
        self._next += tokens
        self._starts += starts

    def _forward(self, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
        """The logits after the last of these tokens, `[rows, vocabulary]`; the cache takes them in."""
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        optional = {"position_ids": places, "logits_to_keep": 1}
        said = self._model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **{name: value for name, value in optional.items() if name in self._takes},
        )
        return said.logits[:, -1]

    def _new_cache(self) -> Any:
        return new_cache() if self.most is None else DynamicCache(config=self._model.config)

    @torch.inference_mode()
    def _try_out(self) -> tuple[bool, int]:
        """Whether keys and values are all that the model remembers, and how many logits it has; tried on two tokens."""
        if "past_key_values" not in self._takes:
            raise UsageError(
                f"{type(self._model).__name__} takes no cache of keys and values, without which it cannot be served."
            )
        ids = torch.zeros((1, 2), dtype=torch.long, device=self._device)
        cache = new_cache()
        try:
            logits = self._forward(ids, torch.ones_like(ids), cache)
            if holds_all(cache, 2):
                return True, logits.shape[-1]
        except Exception:  # whatever a model does that expects a cache of its own
            logging.getLogger("stillhouse.inference").debug("It has a cache of its own.", exc_info=True)
        logits = self._forward(ids, torch.ones_like(ids), DynamicCache(config=self._model.config))
        return False, logits.shape[-1]


@final
class Decoder:
    """Owns a model in a thread of its own: takes rows as they come, and writes them until they are over."""

    def __init__(
        self,
        model: nn.Module,
        limits: Limits | None = None,
        threads: int | None = None,
        seen: Callable[[int], None] | None = None,
    ) -> None:
        """`threads` of the machine that it computes with; `seen` is told the size of the batch that rows join."""
        self._limits, self._threads, self._seen = limits or Limits(), threads, seen
        self._batch = Batch(model)
        self._most = min(self._limits.rows, self._batch.most or self._limits.rows)
        self._waiting: deque[Row] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="decoder", daemon=True)
        self._thread.start()

    @property
    def vocabulary(self) -> int:
        """How many tokens the model chooses among."""
        return self._batch.vocabulary

    @classmethod
    def open(
        cls,
        source: str,
        limits: Limits | None = None,
        threads: int | None = None,
        device: str | None = None,
        seen: Callable[[int], None] | None = None,
    ) -> tuple[Decoder, ChatTokens]:
        """A decoder for a Transformers folder, a hub id or a folder with adapters; and the model's tokens.

        It runs on the GPU if there is one, in bfloat16, else on the CPU in float32.
        """
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        loaded = load_writer(source, "bfloat16" if place.startswith("cuda") else "float32")
        tokens = ChatTokens(loaded.tokenizer, _ends(loaded.model, loaded.tokenizer), _context(loaded.config))
        return cls(loaded.model.to(place), limits, threads, seen), tokens

    def submit(self, rows: Sequence[Row]) -> None:
        """Write these rows; raises Overloaded when too many wait already."""
        with self._changed:
            waiting = len(self._waiting)
            if waiting and waiting + len(rows) > self._limits.waiting:
                raise Overloaded(waiting, status=429)
            self._waiting += rows
            self._changed.notify()

    def close(self) -> None:
        """End what is being written with an error, and the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        if self._threads:
            torch.set_num_threads(self._threads)
        while not self._closing:
            fresh = self._admit()
            if fresh:
                self._attempt(partial(self._batch.join, fresh), fresh)
                if self._seen:
                    self._seen(max(1, self._batch.live))
            self._attempt(self._batch.step, self._batch.rows)
        _fail([*self._waiting, *self._batch.rows], ModelFailed("The server is shutting down."))

    def _attempt(self, work: Callable[[], None], rows: Sequence[Row]) -> None:
        """Do something for some rows; when it fails, these end with an error, and all others go on."""
        try:
            work()
        except Exception as error:  # a model that fails must not silence all who come later
            logging.getLogger("stillhouse.inference").exception("The model failed while it wrote.")
            _fail(rows, ModelFailed(f"The model failed while it wrote: {type(error).__name__}."))

    def _admit(self) -> list[Row]:
        """Rows that begin now, as many as there is room for; waits while there is nothing at all to do."""
        with self._changed:
            while not (self._waiting or self._batch.rows or self._closing):
                self._changed.wait()
            fresh: list[Row] = []
            longest, prompts = 0, set[tuple[int, ...]]()
            live = self._batch.live
            while self._waiting and live + len(fresh) < self._most:
                row = self._waiting[0]
                longest, prompts = max(longest, len(row.order.prompt)), prompts | {row.order.prompt}
                if fresh and longest * len(prompts) > self._limits.tokens:
                    break
                self._waiting.popleft()
                if not row.is_over:
                    fresh.append(row)
            return fresh


def _fail(rows: Sequence[Row], error: Exception) -> None:
    for row in rows:
        if not row.is_over:
            row.fail(error)


def _padded(mask: Tensor, size: int) -> Tensor:
    return nn.functional.pad(mask, (size - mask.shape[1], 0))


def _ends(model: nn.Module, tokenizer: Any) -> set[int]:
    """The tokens that end an answer, by the model's settings and the tokenizer's."""
    settings: Any = getattr(model, "generation_config", None)
    told = getattr(settings, "eos_token_id", None)
    ends = set(told) if isinstance(told, list) else {told}
    return {end for end in (*ends, tokenizer.eos_token_id) if end is not None}


def _context(config: Any) -> int:
    """How many tokens a model can read and write together."""
    inner = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"):
        told = getattr(inner, name, None)
        if isinstance(told, int) and told > 0:
            return told
    return 32768
