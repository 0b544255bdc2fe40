"""The page prepares pictures as Pillow and the model's processor do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import ConvNextImageProcessor, ViTImageProcessor

from stillhouse.errors import UsageError
from stillhouse.export.subject import Subject
from stillhouse.export.web_picture import picture_steps
from stillhouse.recipes.open_student import open_student
from tests.models import kinds

PAGE = Path(__file__).resolve().parents[2] / "stillhouse" / "export" / "page"
SCRIPT = """
import { pixelValues } from "./picture.js";
let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const told = JSON.parse(input).map(([picture, steps]) => {
  const { values, shape, seen } = pixelValues(picture, steps);
  return { values: Array.from(values), shape, seen: Array.from(seen.data) };
});
process.stdout.write(JSON.stringify(told));
"""
RANDOM = np.random.default_rng(0)


def picture(width: int, height: int) -> Image.Image:
    noise = RANDOM.integers(256, size=(height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def prepared_by_the_page(folder: Path, given: list[tuple[Image.Image, dict]]) -> list[dict]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node 20 or newer")
    shutil.copy(PAGE / "picture.js", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(SCRIPT)
    asked = [
        (
            {"width": image.width, "height": image.height, "data": np.asarray(image.convert("RGBA")).ravel().tolist()},
            steps,
        )
        for image, steps in given
    ]
    command = [node, "ask.js"]
    run = subprocess.run(command, cwd=folder, input=json.dumps(asked), capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def subject(folder: Path, processor: object | None = None, kind: str = "vit") -> Subject:
    kinds.make(kind).save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
    return open_student(folder)


STEPS = {"resize": "exact", "crop": None, "channels": 3, "mean": [0.0], "std": [1.0], "scale": 1.0}


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_pictures_are_resized_as_pillow_does_to_the_last_bit(name, tmp_path):
    sizes = [((31, 17), (16, 16)), ((5, 9), (28, 28)), ((64, 64), (7, 50)), ((28, 28), (28, 28)), ((200, 3), (9, 3))]
    images = [(picture(*old), new) for old, new in sizes]
    steps = [(image, {**STEPS, "width": wide, "height": high, "filter": name}) for image, (wide, high) in images]
    for (image, new), told in zip(images, prepared_by_the_page(tmp_path, steps), strict=True):
        wanted = np.asarray(image.resize(new, Image.Resampling[name.upper()]))
        assert told["shape"] == [1, 3, new[1], new[0]]
        assert np.array_equal(np.asarray(told["values"]).reshape(told["shape"][1:]), np.moveaxis(wanted, 2, 0))
        assert np.array_equal(np.asarray(told["seen"]).reshape(*wanted.shape[:2], 4)[..., :3], wanted)


def test_grey_is_weighed_as_pillow_weighs_it(tmp_path):
    image = picture(12, 10)
    steps = {**STEPS, "channels": 1, "width": 12, "height": 10, "filter": "bilinear"}
    (told,) = prepared_by_the_page(tmp_path, [(image, steps)])
    assert told["shape"] == [1, 1, 10, 12]
    assert np.array_equal(np.asarray(told["values"]).reshape(10, 12), np.asarray(image.convert("L")))


PROCESSORS = {
    "plain": ViTImageProcessor(size={"height": 16, "width": 16}),
    "bicubic": ViTImageProcessor(
        size={"height": 16, "width": 16}, resample=3, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.1]
    ),
    "one number": ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=0.4, image_std=0.3),
    "raw": ViTImageProcessor(size={"height": 16, "width": 16}, do_normalize=False),
    "cropped": ConvNextImageProcessor(size={"shortest_edge": 16}, crop_pct=0.8),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_values_are_those_of_the_model_s_processor(name, tmp_path):
    """Within one of 255 steps of a pixel: Pillow rounds between the passes of a resize, and a processor may not."""
    processor = PROCESSORS[name]
    steps = picture_steps(subject(tmp_path / "model", processor))
    images = [picture(4, 4).resize(size, Image.Resampling.BILINEAR) for size in ((40, 23), (16, 16), (9, 30))]
    for image, told in zip(images, prepared_by_the_page(tmp_path, [(one, steps) for one in images]), strict=True):
        wanted = processor(images=image, return_tensors="np")["pixel_values"]
        assert told["shape"] == list(wanted.shape)
        step = steps["scale"] / min(steps["std"])
        assert np.abs(np.asarray(told["values"]).reshape(wanted.shape) - wanted).max() < 1.001 * step


def test_without_a_processor_pixels_lie_around_zero(tmp_path):
    assert picture_steps(subject(tmp_path)) == {
        "resize": "exact",
        "width": 16,
        "height": 16,
        "crop": None,
        "channels": 3,
        "mean": [0.5],
        "std": [0.5],
        "scale": 1 / 255,
        "filter": "bilinear",
    }


def test_steps_that_the_page_does_not_know_are_refused(tmp_path):
    given = subject(tmp_path, PROCESSORS["plain"])
    file = tmp_path / "preprocessor_config.json"
    told = json.loads(file.read_text())
    for change in ({"do_pad": True}, {"resample": 4}):
        file.write_text(json.dumps(told | change))
        with pytest.raises(UsageError, match="the page does not know"):
            picture_steps(given)
    file.write_text(json.dumps(told | {"size": {"longest_edge": 64}}))
    with pytest.raises(UsageError, match="does not say how high and how wide"):
        picture_steps(given)
