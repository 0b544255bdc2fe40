"""Image: image classification by Transformers vision models and plain torch modules, without torchvision.

Pictures are kept as bytes and varied on the way: cropped, flipped, cut out, mixed. Every variation follows from (seed,
view, row) alone, so that teacher and student see the same picture, and so does a resumed run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch, Layers, StudentOutput
from stillhouse.models.pictures import edges_of, settings_of, shades_of, size_of
from stillhouse.tasks.classification import classify

__all__ = ["Augmentation", "ImageTask", "Look", "look_of", "read_images"]

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """How pictures come to a model: pixels p (0 to 1) as (p - mean) / std, of one number or one for each channel."""

    size: tuple[int, int] | None = None
    """Height and width; None leaves pictures as they are, all of one size."""
    channels: int | None = None
    """1 (grey) or 3 (red, green, blue); None for what the pictures have."""
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3):
            raise UsageError(f"Pictures have 1 channel (grey) or 3 (colours), not {self.channels}.")
        if not self.std or min(self.std) <= 0:
            raise UsageError(f"The std of pixels must be above 0; it is {self.std}.")


@dataclass(frozen=True)
class Augmentation:
    """How pictures are varied; by default not at all."""

    crop: int = 0
    """Pixels by which a picture is moved at most, each way; what comes into view is black."""
    flip: bool = False
    """Turn half of the pictures left to right."""
    cutout: int = 0
    """Side in pixels of a square that is made grey (the mean), anywhere. arxiv.org/abs/1708.04552."""
    mixup: float = 0.0
    """Alpha of the Beta distribution by which another picture is mixed in; the larger part's label stays.

    Choose it with a teacher that tells how sure it is: labels alone do not know of mixtures. arxiv.org/abs/1710.09412.
    """
    views: int | None = None
    """How many variations of a picture there are, used in turn; None for a new one each epoch.

    1 where a teacher's signals were kept: epoch 0 is what it saw.
    """

    def __post_init__(self) -> None:
        if min(self.crop, self.cutout, self.mixup) < 0 or (self.views is not None and self.views < 1):
            raise UsageError(f"Pictures cannot be varied by less than nothing, nor have no view: {self}.")

    def __bool__(self) -> bool:
        return bool(self.crop or self.flip or self.cutout or self.mixup)


@final
@dataclass(frozen=True)
class ImageTask:
    """`pixels` `[samples, channels, height, width]`, `labels` `[samples]` (-1: unanswered), each one of `classes`.

    Models get `pixel_values` `[rows, channels, height, width]` as their first argument, and answer with logits
    `[rows, classes]`, as such or as `logits` of a Transformers output.
    """

    pixels: Bytes
    labels: Labels
    classes: int
    look: Look = Look()
    augmentation: Augmentation = Augmentation()
    seed: int = 0

    def batch(self, rows: Sequence[int], epoch: int = 0) -> Batch:
        chosen = np.asarray(rows)
        views = self.augmentation.views
        view = epoch if views is None else epoch % views
        varied = [self._varied(row, view) for row in rows] if self.augmentation else None
        pixels = self.pixels[chosen].astype(np.float32) if varied is None else np.stack(varied)
        mean, std = (np.asarray(values, dtype=np.float32)[:, None, None] for values in (self.look.mean, self.look.std))
        values = torch.from_numpy((pixels / np.float32(255) - mean) / std)
        return Batch({"pixel_values": values}, torch.from_numpy(self.labels[chosen, None]), torch.tensor(rows))

    def output(self, student: nn.Module, batch: Batch, layers: Layers) -> StudentOutput:
        values = batch.inputs["pixel_values"]
        raw, features = classify(student, lambda: student(values), layers, self.classes)
        return StudentOutput(raw.unsqueeze(1), features)

    def asked(self, batch: Batch) -> Tensor:
        return torch.ones_like(batch.labels, dtype=torch.bool)

    def length(self, row: int) -> int:
        return 1

    def still(self) -> ImageTask:
        """The same pictures, not varied: what a student is measured on."""
        return replace(self, augmentation=Augmentation())

    def _varied(self, row: int, view: int) -> Floats:
        """A picture `[channels, height, width]` as it looks in one view, in bytes with fractions."""
        random = np.random.default_rng((self.seed, view, row))
        picture = self._moved(row, random)
        if self.augmentation.mixup:
            share = random.beta(self.augmentation.mixup, self.augmentation.mixup)
            share = np.float32(max(share, 1 - share))
            other = self._moved(int(random.integers(len(self.pixels))), random)
            return (share * picture + (1 - share) * other).astype(np.float32)
        return picture

    def _moved(self, row: int, random: np.random.Generator) -> Floats:
        """A picture cropped, flipped and cut out."""
        given, picture = self.augmentation, self.pixels[row].astype(np.float32)
        _, height, width = picture.shape
        if given.crop:
            wide = np.pad(picture, ((0, 0), (given.crop, given.crop), (given.crop, given.crop)))
            top, left = random.integers(2 * given.crop + 1, size=2)
            picture = wide[:, top : top + height, left : left + width]
        if given.flip and random.random() < 0.5:
            picture = picture[:, :, ::-1]
        if given.cutout:
            top, left = (int(random.integers(side)) - given.cutout // 2 for side in (height, width))
            picture = picture.copy()
            rows, columns = (slice(max(0, at), max(0, at + given.cutout)) for at in (top, left))
            picture[:, rows, columns] = 255 * np.asarray(self.look.mean, dtype=np.float32)[:, None, None]
        return picture


def read_images(
    images: Any,
    labels: Sequence[int] | None = None,
    classes: int | None = None,
    look: Look | None = None,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> ImageTask:
    """Pictures as a task: bytes `[samples, height, width]` or `[samples, height, width, channels]`, or PIL images.

    Without `labels` every sample is unanswered; `classes` is by default one more than the largest label. Raises
    UsageError where pictures are no bytes, or differ in size and `look` gives none.
    """
    look = look or Look()
    pixels = _bytes_of(images, look)
    answers = np.full(len(pixels), -1, dtype=np.int64) if labels is None else np.asarray(labels, dtype=np.int64)
    if answers.shape != (len(pixels),):
        raise UsageError(f"There are {len(pixels)} pictures and labels of shape {list(answers.shape)}; give one each.")
    count = int(answers.max(initial=-1)) + 1 if classes is None else classes
    if count < 2 or answers.min(initial=-1) < -1 or answers.max(initial=-1) >= count:
        low, high = answers.min(initial=0), answers.max(initial=0)
        raise UsageError(
            f"Labels must be -1 (none) to {count - 1}, of 2 classes or more; they go from {low} to {high}."
        )
    for name, values in (("mean", look.mean), ("std", look.std)):
        if len(values) not in (1, pixels.shape[1]):
            raise UsageError(f"The pictures have {pixels.shape[1]} channels, and their {name} {len(values)} numbers.")
    return ImageTask(pixels, answers, count, look, augmentation or Augmentation(), seed)


def look_of(source: Any) -> Look:
    """How an image processor of Transformers wants its pictures, or a vision model by its configuration (mean 0.5)."""
    told = settings_of(source)
    size = size_of(told) or edges_of(getattr(source, "image_size", None))
    mean, std = shades_of(told).of_whole
    channels = getattr(source, "num_channels", None) or (3 if len(mean) == 3 else None)
    return Look(size, channels, mean, std)


def _bytes_of(images: Any, look: Look) -> Bytes:
    """`[samples, channels, height, width]`."""
    if isinstance(images, np.ndarray):
        _check(images)
        if look.size in (None, images.shape[1:3]):
            return _channels(images, look.channels)
    pictures = [_picture(image, look) for image in images]
    if not pictures:
        raise UsageError("There are no pictures. Give at least one.")
    shapes = sorted({picture.shape for picture in pictures})
    if len(shapes) > 1:
        raise UsageError(
            f"The pictures have different shapes ({shapes[0]} and {shapes[1]}); give `look` a size and channels."
        )
    return _channels(np.stack(pictures), look.channels)


def _picture(image: Any, look: Look) -> Bytes:
    """One picture as bytes `[height, width]` or `[height, width, 3]`, as it should look."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        _check(image[None])
        image = Image.fromarray(image.squeeze(-1) if image.shape[2:] == (1,) else image)
    if image.mode not in ("L", "RGB") or look.channels is not None:
        image = image.convert("L" if look.channels == 1 else "RGB")
    if look.size is not None and image.size != look.size[::-1]:
        image = image.resize(look.size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def _check(images: npt.NDArray[Any]) -> None:
    if images.dtype != np.uint8:
        raise UsageError(f"Pictures must be bytes from 0 to 255 (uint8); these are {images.dtype}. Convert them first.")
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3)):
        raise UsageError(
            "Pictures must be [samples, height, width] or [samples, height, width, 1 or 3]; their shape is "
            f"{list(images.shape)}."
        )


def _channels(images: Bytes, wanted: int | None) -> Bytes:
    """Channels first, and as many as wanted: grey repeated, or colours weighed as eyes weigh them."""
    pixels = images[:, None] if images.ndim == 3 else np.moveaxis(images, -1, 1)
    if wanted == 3 and pixels.shape[1] == 1:
        pixels = np.repeat(pixels, 3, axis=1)
    elif wanted == 1 and pixels.shape[1] == 3:
        weights = np.array([19_595, 38_470, 7_471], dtype=np.uint32)  # 0.299, 0.587 and 0.114 of 65,536
        grey = np.tensordot(weights, pixels.astype(np.uint32), axes=(0, 1))
        pixels = ((grey + 32_768) >> 16).astype(np.uint8)[:, None]
    return np.ascontiguousarray(pixels)
