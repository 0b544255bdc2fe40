"""Keys and values of the tokens that a batch has read, in buffers with room to grow; rows join and leave."""

# torch leaves its own types half said, which strict checking does not bear
# pyright: standard

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

__all__ = ["RoomyLayer", "holds_all", "joined", "new_cache", "put", "taken"]

ROOM = 64
"""So many tokens more than needed, and a quarter of these, fit into a buffer when it is made."""


@final
class RoomyLayer(CacheLayerMixin):
    """One layer's keys and values `[rows, heads, tokens, width]`, written in place; rows end at the same column.

    A cache that is joined anew at every token, as Transformers' own, copies all of itself at every token.
    """

    is_sliding = False

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make buffers like these states."""
        self.keys, self.values = _empty(key_states, len(key_states), 0), _empty(value_states, len(value_states), 0)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *more: object) -> tuple[Tensor, Tensor]:
        """Add the states of some more tokens; returns those of all."""
        if self.keys is None or self.values is None:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        start, self._size = self._size, self._size + key_states.shape[-2]
        if self._size > self.keys.shape[-2]:
            self.keys = _copied(self.keys[..., :start, :], self._size)
            self.values = _copied(self.values[..., :start, :], self._size)
        self.keys[..., start : self._size, :] = key_states
        self.values[..., start : self._size, :] = value_states
        return self.held

    @property
    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values without the room behind them."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys[..., : self._size, :], self.values[..., : self._size, :]

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, size: int) -> RoomyLayer:
        """A layer that holds `size` tokens in these buffers."""
        made = cls()
        made.keys, made.values, made._size, made.is_initialized = keys, values, size, True
        return made

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many columns a mask has, and which is the first."""
        return self._size + query_length, 0

    def get_seq_length(self) -> int:
        """How many tokens are held."""
        return self._size

    def get_max_length(self) -> int:
        """No maximum."""
        return -1


def new_cache() -> Cache:
    """A cache for a model's every layer that has none yet."""
    return Cache(layer_class_to_replicate=RoomyLayer)


def holds_all(cache: Cache, size: int) -> bool:
    """Whether there are layers, all of them ours, that hold so many tokens."""
    layers = _layers(cache)
    return bool(layers) and len(layers) == len(cache) and all(layer.get_seq_length() == size for layer in layers)


def taken(cache: Cache, rows: Sequence[int], first: int) -> Cache:
    """A cache with these rows only, from column `first` on."""
    made: list[CacheLayerMixin] = []
    for layer in _layers(cache):
        keys, values = layer.held
        places = torch.tensor(rows, device=keys.device)
        size = keys.shape[-2] - first
        made.append(
            RoomyLayer.of(_copied(keys[places, :, first:], size), _copied(values[places, :, first:], size), size)
        )
    return _cache_of(made)


def put(cache: Cache, rows: Sequence[int], other: Cache) -> None:
    """Write another cache's rows over some of this one's, which has as many tokens or more; nothing else is copied."""
    for mine, its in zip(_layers(cache), _layers(other), strict=True):
        for own, new in zip(mine.held, its.held, strict=True):
            own[list(rows), :, own.shape[-2] - new.shape[-2] :] = new


def joined(one: Cache, other: Cache) -> Cache:
    """The rows of both, the shorter ones padded on the left."""
    made: list[CacheLayerMixin] = []
    for left, right in zip(_layers(one), _layers(other), strict=True):
        size = max(left.get_seq_length(), right.get_seq_length())
        sides = zip(left.held, right.held, strict=True)
        keys, values = [_stacked(above, below, size) for above, below in sides]
        made.append(RoomyLayer.of(keys, values, size))
    return _cache_of(made)


def _layers(cache: Cache) -> list[RoomyLayer]:
    return [layer for layer in cache.layers if isinstance(layer, RoomyLayer)]


def _cache_of(layers: list[CacheLayerMixin]) -> Cache:
    made = new_cache()
    made.layers += layers
    return made


def _empty(like: Tensor, rows: int, size: int) -> Tensor:
    return like.new_zeros((rows, like.shape[1], size + size // 4 + ROOM, like.shape[-1]))


def _copied(states: Tensor, size: int) -> Tensor:
    """The same states in a buffer with room for `size` tokens and some more."""
    made = _empty(states, len(states), size)
    made[..., : states.shape[-2], :] = states
    return made


def _stacked(above: Tensor, below: Tensor, size: int) -> Tensor:
    made = _empty(above, len(above) + len(below), size)
    made[: len(above), :, size - above.shape[-2] : size] = above
    made[len(above) :, :, size - below.shape[-2] : size] = below
    return made
