"""A prepared model with its weights as integers: what training promised, computed from what is stored."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar, final

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from stillhouse.compression import onnx_nodes
from stillhouse.compression.fake_quantize import TOP_INPUT, InputRange
from stillhouse.compression.qat import Prepared, own_weight, prepared
from stillhouse.errors import UsageError

__all__ = ["Entry", "IntegerConv2d", "IntegerEmbedding", "IntegerLinear", "Integers", "bytes_of", "convert"]

SPREAD = 32
"""Numbers of a block where a row has one step and a length that no larger block divides."""
Model = TypeVar("Model", bound=nn.Module)


def convert(model: Model) -> Model:
    """A copy of a prepared model that holds integers, in evaluation mode; the prepared one stays as it is.

    It answers as the prepared one does in evaluation mode. Linear layers of 8 bits whose inputs are rounded too and
    convolutions hold an int8 for each weight; others hold blocks of 2, 4 or 8 bits a weight in the layout of ONNX
    Runtime's MatMulNBits (weights of 3 bits take 4, those of 5 to 7 bits take 8). Any export to ONNX writes the
    integers: `DequantizeLinear` of an int8 weight, or `MatMulNBits`. Layers that share a weight share its integers.
    Raises UsageError where a layer's inputs were never seen.
    """
    made = deepcopy(model).eval()
    layers = [layer for layer in prepared(made) if layer.grid is not None]
    if not layers:
        raise UsageError("This model is not prepared: there is nothing to make integers of. Call `prepare` first.")
    packed = _to_pack(layers)
    shared: dict[int, Integers] = {}
    become: dict[int, nn.Module] = {}
    for layer in layers:
        key = id(own_weight(layer.layer))
        if key not in shared:
            shared[key] = _integers(layer, key in packed)
        become[id(layer.layer)] = _integer_layer(layer, shared[key])
    return _replaced(made, become)


def _to_pack(layers: list[Prepared]) -> set[int]:
    """Which weights are stored in blocks: what has few bits, or steps by group, or inputs that are not rounded."""
    wanted: set[int] = set()
    for layer in layers:
        assert layer.grid is not None
        table = isinstance(layer.layer, nn.Embedding)
        plain = layer.entry is None and not table
        if not isinstance(layer.layer, nn.Conv2d) and (layer.grid.bits <= 4 or layer.grid.cut.group or plain):
            wanted.add(id(own_weight(layer.layer)))
    return wanted


def _integers(layer: Prepared, packed: bool) -> Integers:
    assert layer.grid is not None
    weight = own_weight(layer.layer)
    integers, steps = layer.grid.integers(weight)
    outputs = len(integers)
    numbers = weight.numel() // outputs
    if not packed:
        return Integers(integers.flatten(1), steps.flatten(), numbers, 0, 0)
    rows, size = integers.flatten(1)[:, :numbers], layer.grid.cut.group
    if not size:
        size = next((size for size in (256, 128, 64, 32, 16) if numbers % size == 0), SPREAD)
        steps = steps.expand(outputs, -(-numbers // size))
    blocks = nn.functional.pad(rows, (0, -numbers % size)).unflatten(1, (-1, size))
    width = next(width for width in (2, 4, 8) if layer.grid.bits <= width)
    return Integers(_pack(blocks, width), steps.contiguous(), numbers, width, size)


def _pack(blocks: Tensor, width: int) -> Tensor:
    """Integers `[outputs, groups, numbers]` into bytes `[outputs, groups, bytes]`, the first in the lowest bits."""
    digits = (blocks.to(torch.int16) + 2 ** (width - 1)).unflatten(-1, (-1, 8 // width))
    places = 2 ** (width * torch.arange(8 // width, dtype=torch.int16, device=blocks.device))
    return (digits * places).sum(-1).to(torch.uint8)


def _integer_layer(layer: Prepared, integers: Integers) -> nn.Module:
    module: Any = layer.layer
    if isinstance(module, nn.Embedding):
        return IntegerEmbedding(integers, module.padding_idx)
    entry = None if layer.entry is None else _entry(layer.name, layer.entry)
    if isinstance(module, nn.Conv2d):
        return IntegerConv2d(integers, module, entry)
    sizes = (module.nx, module.nf) if isinstance(module, Conv1D) else (module.in_features, module.out_features)
    return IntegerLinear(integers, module.bias, entry, sizes)


def _entry(name: str, seen: InputRange) -> Entry:
    if not seen.batches:
        raise UsageError(
            f"What enters the layer {name!r} was never seen, so it has no range. Train the prepared model, or show it "
            "some batches with `observe`."
        )
    return Entry(*seen.grid())


def _replaced(model: Model, become: dict[int, nn.Module]) -> Model:
    if id(model) in become:
        made: Any = become[id(model)]
        return made
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and id(child) in become:
                parent._modules[name] = become[id(child)]
    return model


def bytes_of(model: nn.Module) -> int:
    """The bytes of a module's weights and buffers, shared ones counted once."""
    held = {tensor.data_ptr(): tensor for tensor in model.state_dict().values()}
    return sum(tensor.numel() * tensor.element_size() for tensor in held.values())


@final
class Integers(nn.Module):
    """A weight `[outputs, numbers]` as integers and steps.

    With `width` 0 an int8 `[outputs, numbers]` for each weight and a step for each output. Else unsigned integers of
    `width` bits, 2^(width-1) standing for 0, in bytes `[outputs, groups, size * width / 8]`, the first in the lowest
    bits, and a step for each group.
    """

    values: Tensor
    steps: Tensor

    def __init__(self, values: Tensor, steps: Tensor, numbers: int, width: int, size: int) -> None:
        super().__init__()
        self.numbers, self.width, self.size = numbers, width, size
        self.register_buffer("values", values)
        self.register_buffer("steps", steps)

    def dense(self) -> Tensor:
        """The weight as floats, `[outputs, numbers]`."""
        return self._floats(self.values, self.steps)

    def rows(self, ids: Tensor) -> Tensor:
        """Some outputs' numbers as floats: ids of any shape to `[..., numbers]`."""
        flat = ids.flatten()
        found = self._floats(self.values.index_select(0, flat), self.steps.index_select(0, flat))
        return found.view(*ids.shape, self.numbers)

    def times(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """`[..., numbers]` times this weight, and a bias: `[..., outputs]`."""
        if not torch.onnx.is_in_onnx_export():
            return nn.functional.linear(inputs, self.dense(), bias)
        if self.width:
            made = onnx_nodes.multiply_blocks(inputs, self.values, self.steps, self.numbers, self.width)
        else:  # turned while they are integers: behind a node that turns floats ONNX Runtime sees no integer product
            made = inputs @ onnx_nodes.dequantize(self.values.T, self.steps, 1)
        return made if bias is None else made + bias

    def filters(self, shape: tuple[int, ...]) -> Tensor:
        """The weight of a convolution."""
        if not torch.onnx.is_in_onnx_export():
            return self.dense().view(shape)
        return onnx_nodes.dequantize(self.values.view(shape), self.steps)

    def _floats(self, values: Tensor, steps: Tensor) -> Tensor:
        if not self.width:
            return values.float() * steps.unsqueeze(-1)
        left, digits = values.float(), list[Tensor]()
        for _ in range(8 // self.width):  # by arithmetic, which every runtime has for floats
            rest = (left / 2**self.width).floor()
            digits.append(left - rest * 2**self.width - 2 ** (self.width - 1))
            left = rest
        numbers = torch.stack(digits, -1).flatten(-2) * steps.unsqueeze(-1)
        return numbers.flatten(1)[:, : self.numbers]

    def extra_repr(self) -> str:
        """The layout in one line, for those who print the model."""
        return f"outputs={len(self.values)}, numbers={self.numbers}, width={self.width or 8}, size={self.size}"


@final
class Entry(nn.Module):
    """What enters a layer, rounded to 256 values."""

    step: Tensor
    zero: Tensor

    def __init__(self, step: Tensor, zero: Tensor) -> None:
        super().__init__()
        self.register_buffer("step", step.detach().clone())
        self.register_buffer("zero", zero.detach().to(torch.uint8))

    def forward(self, values: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export():
            return onnx_nodes.round_trip(values, self.step, self.zero)
        zero = self.zero.float()
        return (values / self.step).round().clamp(-zero, TOP_INPUT - zero) * self.step


@final
class IntegerLinear(nn.Module):
    """A linear layer whose weight is integers."""

    bias: Tensor | None

    def __init__(self, integers: Integers, bias: Tensor | None, entry: Entry | None, sizes: tuple[int, int]) -> None:
        super().__init__()
        self.in_features, self.out_features = sizes
        self.integers, self.entry = integers, entry
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The weight as floats, `[outputs, inputs]`."""
        return self.integers.dense()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.integers.times(inputs if self.entry is None else self.entry(inputs), self.bias)

    def product(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """States, weight and bias whose product is this layer's output: for who computes a few rows of it."""
        return states if self.entry is None else self.entry(states), self.weight, self.bias


@final
class IntegerConv2d(nn.Module):
    """A convolution whose weight is integers."""

    bias: Tensor | None

    def __init__(self, integers: Integers, like: nn.Conv2d, entry: Entry | None) -> None:
        super().__init__()
        self.integers, self.entry = integers, entry
        self.shape = tuple(like.weight.shape)
        self.strides: tuple[Any, ...] = (like.stride, like.padding, like.dilation, like.groups)
        """Stride, padding, dilation and groups."""
        self.register_buffer("bias", None if like.bias is None else like.bias.detach().clone())

    @property
    def weight(self) -> Tensor:
        """The weight as floats."""
        return self.integers.dense().view(self.shape)

    def forward(self, inputs: Tensor) -> Tensor:
        entered = inputs if self.entry is None else self.entry(inputs)
        filters = self.integers.filters(self.shape)
        return nn.functional.conv2d(entered, filters, self.bias, *self.strides)


@final
class IntegerEmbedding(nn.Module):
    """A table whose rows are integers."""

    def __init__(self, integers: Integers, padding_idx: int | None) -> None:
        super().__init__()
        self.integers, self.padding_idx = integers, padding_idx
        self.num_embeddings, self.embedding_dim = len(integers.values), integers.numbers

    @property
    def weight(self) -> Tensor:
        """The table as floats."""
        return self.integers.dense()

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.integers.rows(input_ids)
