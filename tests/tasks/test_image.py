"""Pictures become pixel values; a variation follows from seed, view and row alone; models of any make answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.tasks.image import Augmentation, Look, look_of, read_images

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(256, size=(6, 8, 8), dtype=np.uint8)
COLOURS = RANDOM.integers(256, size=(6, 8, 8, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, -1, 1]


def values(task, rows=(0,), epoch: int = 0) -> torch.Tensor:
    return task.batch(list(rows), epoch).inputs["pixel_values"]


def test_bytes_become_normalised_values_channels_first():
    task = read_images(COLOURS, LABELS, look=Look(mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.2)))
    batch = task.batch([4, 0])
    assert batch.inputs["pixel_values"].shape == (2, 3, 8, 8)
    assert batch.inputs["pixel_values"].dtype == torch.float32
    assert batch.inputs["pixel_values"][1, 2, 5, 6] == pytest.approx((COLOURS[0, 5, 6, 2] / 255 - 0.3) / 0.2, rel=1e-5)
    assert batch.labels.tolist() == [[-1], [0]]
    assert batch.rows.tolist() == [4, 0]
    assert task.asked(batch).all()
    assert task.classes == 3


def test_grey_is_repeated_and_colours_are_weighed():
    assert torch.equal(
        values(read_images(GREY, LABELS, look=Look(channels=3)))[:, 0], values(read_images(GREY, LABELS))[:, 0]
    )
    grey = read_images(COLOURS, LABELS, look=Look(channels=1)).pixels
    expected = np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in COLOURS])
    assert np.array_equal(grey[:, 0], expected)


def test_pictures_are_brought_to_one_size():
    mixed = [
        Image.fromarray(COLOURS[0]),
        Image.fromarray(COLOURS[1]).resize((5, 12)),
        GREY[2],
        Image.new("RGBA", (3, 3)),
    ]
    task = read_images(mixed[:2], classes=2, look=Look(size=(4, 6)))
    assert values(task, (0, 1)).shape == (2, 3, 4, 6)
    assert values(read_images(mixed, classes=2, look=Look((4, 6), 1)), range(4)).shape == (4, 1, 4, 6)
    assert read_images(COLOURS, LABELS, look=Look(size=(4, 4))).pixels.shape == (6, 3, 4, 4)
    flat = read_images(np.full((1, 9, 9), 200, np.uint8), [0], 2, Look(size=(3, 3)))
    assert (flat.pixels == 200).all()
    with pytest.raises(UsageError, match="different shapes"):
        read_images(mixed[:2])
    with pytest.raises(UsageError, match="different shapes"):
        read_images(mixed, look=Look(size=(4, 4)))  # grey beside colours


VARIED = {
    "crop": Augmentation(crop=2),
    "flip": Augmentation(flip=True),
    "cutout": Augmentation(cutout=4),
    "mixup": Augmentation(mixup=0.8),
    "all": Augmentation(crop=1, flip=True, cutout=3, mixup=0.4),
}


@pytest.mark.parametrize("kind", VARIED)
def test_a_variation_follows_from_seed_epoch_and_row(kind):
    task = read_images(GREY, LABELS, augmentation=VARIED[kind], seed=3)
    again = read_images(GREY, LABELS, augmentation=VARIED[kind], seed=3)
    rows = list(range(6))
    assert torch.equal(values(task, rows, 2), values(again, rows, 2))
    assert torch.equal(values(task, rows, 2)[4], values(task, (4,), 2)[0]), "whatever stands beside it"
    assert any(not torch.equal(values(task, rows, 2), values(task, rows, epoch)) for epoch in range(3, 9))
    other = read_images(GREY, LABELS, augmentation=VARIED[kind], seed=4)
    assert any(not torch.equal(values(task, rows, epoch), values(other, rows, epoch)) for epoch in range(9))
    assert torch.equal(values(task.still(), rows, 2), values(read_images(GREY, LABELS), rows))


def test_few_views_come_again():
    task = read_images(GREY, LABELS, augmentation=Augmentation(crop=2, views=2))
    seen = [values(task, range(6), epoch) for epoch in range(4)]
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_what_each_variation_does():
    plain = read_images(GREY, LABELS, look=Look(mean=(0.0,), std=(1.0,)))
    picture = values(plain)[0, 0]

    def seen(**how) -> list[torch.Tensor]:
        task = read_images(GREY, LABELS, look=plain.look, augmentation=Augmentation(**how))
        return [values(task, (0,), epoch)[0, 0] for epoch in range(30)]

    flips = seen(flip=True)
    assert {torch.equal(one, picture) or torch.equal(one, picture.flip(1)) for one in flips} == {True}
    assert 5 < sum(torch.equal(one, picture) for one in flips) < 25
    wide = torch.nn.functional.pad(picture, (1, 1, 1, 1))
    places = [wide[top : top + 8, left : left + 8] for top in range(3) for left in range(3)]
    assert all(any(torch.equal(one, place) for place in places) for one in seen(crop=1))
    holes = [(one != picture).sum().item() for one in seen(cutout=3)]
    assert 0 < max(holes) <= 9
    mixed = seen(mixup=1.0)
    others = [values(plain, (row,))[0, 0] for row in range(6)]
    for one in mixed[:10]:
        shares = [
            torch.linalg.lstsq((other - picture).reshape(-1, 1), (one - picture).reshape(-1, 1)) for other in others[1:]
        ]
        fits = [
            share.solution.item()
            for share, other in zip(shares, others[1:], strict=True)
            if torch.allclose(picture + share.solution.item() * (other - picture), one, atol=1e-4)
        ]
        assert torch.allclose(one, picture, atol=1e-5) or (fits and 0 <= fits[0] <= 0.5)


def vit(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    config = ViTConfig(
        image_size=8,
        patch_size=4,
        num_channels=1,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=classes,
    )
    return ViTForImageClassification(config).eval()


def resnet(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    config = ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=classes
    )
    return ResNetForImageClassification(config).eval()


def plain(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 12), nn.ReLU(), nn.Linear(12, classes)
    )


@pytest.mark.parametrize(("model", "width"), [(vit, 16), (resnet, 16), (plain, 12)])
def test_models_of_any_make_answer(model, width):
    task = read_images(GREY, LABELS)
    made, batch = model(), task.batch([0, 1, 2])
    said = task.output(made, batch, Layers(embedding=True))
    own = made(batch.inputs["pixel_values"])
    own = own if isinstance(own, torch.Tensor) else own.logits
    assert said.logits.shape == (3, 1, 3)
    assert torch.equal(said.logits[:, 0], own)
    assert said.features.embedding.shape == (3, width)


def test_hidden_states_are_caught():
    task = read_images(GREY, LABELS)
    assert task.output(vit(), task.batch([0, 1]), Layers(hidden=frozenset({0, 1}))).features.hidden[1].shape == (
        2,
        5,
        16,
    )


def test_a_model_of_other_labels_is_refused():
    task = read_images(GREY, LABELS)
    with pytest.raises(UsageError, match=r"\[2, 4\]"):
        task.output(vit(4), task.batch([0, 1]), Layers())


def test_a_processor_says_how_pictures_should_look():
    made = ViTImageProcessor(size={"height": 16, "width": 12}, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])
    assert look_of(made) == Look((16, 12), 3, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    assert look_of(ViTImageProcessor(do_normalize=False)).std == (1.0,)
    assert look_of(ViTImageProcessor(image_mean=0.4, do_rescale=False)).mean == (0.4 / 255,)
    with pytest.raises(UsageError, match="does not say how high and how wide"):
        look_of(ViTImageProcessor(size={"longest_edge": 64}))
    assert look_of(ViTConfig(image_size=8, num_channels=1)) == Look((8, 8), 1)


def test_pixels_are_those_of_transformers_own_processor():
    processor = ViTImageProcessor(size={"height": 5, "width": 7}, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7])
    own = processor([Image.fromarray(picture) for picture in COLOURS], return_tensors="pt")["pixel_values"]
    assert torch.allclose(values(read_images(COLOURS, LABELS, look=look_of(processor)), range(6)), own, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: read_images(GREY.astype(np.float32)), "bytes"),
        (lambda: read_images(GREY[0]), "shape"),
        (lambda: read_images(COLOURS.transpose(0, 3, 1, 2)), "shape"),
        (lambda: read_images(GREY, [0, 1]), "one each"),
        (lambda: read_images(GREY, LABELS, classes=2), "-1 \\(none\\) to 1"),
        (lambda: read_images(GREY), "2 classes or more"),
        (lambda: read_images(COLOURS, LABELS, look=Look(mean=(0.1, 0.2))), "3 channels, and their mean 2"),
        (lambda: read_images([], LABELS), "no pictures"),
        (lambda: Look(channels=2), "channel"),
        (lambda: Look(std=(0.0,)), "above 0"),
        (lambda: Augmentation(crop=-1), "less than nothing"),
    ],
)
def test_what_cannot_be_read_is_refused(make, told):
    with pytest.raises(UsageError, match=told):
        make()
