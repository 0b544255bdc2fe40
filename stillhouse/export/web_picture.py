"""How a page prepares a picture: the steps of the image processor that lies beside a model, in words of the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.export.onnx_folder import image_size
from stillhouse.export.subject import Subject

__all__ = ["picture_steps"]

FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the filters by which pictures are resized."""
UNKNOWN = ("do_pad", "do_thumbnail", "do_align_long_axis", "do_flip_channel_order", "do_reduce_labels")
"""Steps of other processors, which the page does not know."""


def picture_steps(subject: Subject) -> dict[str, Any]:
    """Size, filter, crop, scale, mean and deviation; without a processor, pixels of 0 to 1 as (p - 0.5) / 0.5."""
    channels, height, width = image_size(subject)
    if channels not in (1, 3):
        raise UsageError(f"{subject.folder} reads pictures of {channels} channels; a page has grey ones or colours.")
    file = subject.folder / "preprocessor_config.json"
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    strange = [name for name in UNKNOWN if told.get(name)]
    filtered = FILTERS.get(told.get("resample", 2))
    if strange or filtered is None:
        raise UsageError(
            f"{file} asks for {', '.join(strange) or 'a filter'} that the page does not know. It resizes (bilinear, "
            "bicubic, Lanczos), crops the centre, scales and normalises."
        )
    normal = told.get("do_normalize", True)
    return {
        **_resize(told, height, width),
        "channels": channels,
        "mean": _numbers(told.get("image_mean", 0.5) if normal else 0.0),
        "std": _numbers(told.get("image_std", 0.5) if normal else 1.0),
        "scale": told.get("rescale_factor", 1 / 255) if told.get("do_rescale", True) else 1.0,
        "filter": filtered,
    }


def _resize(told: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """To which size: of both edges (`exact`) or of the shorter one (`edge`), and what is cut out of its centre."""
    size = told.get("size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    crop: Any = told.get("crop_size") if told.get("do_center_crop") else None
    if isinstance(crop, int):
        crop = {"height": crop, "width": crop}
    edge = size.get("shortest_edge") if isinstance(size, dict) else None
    if edge and told.get("crop_pct") and edge < 384:
        crop = {"height": edge, "width": edge}
        edge = int(edge / told["crop_pct"])
    cut = [crop["width"], crop["height"]] if crop else None
    if edge and cut and told.get("do_resize", True):
        return {"resize": "edge", "width": edge, "height": edge, "crop": cut}
    if isinstance(size, dict) and "height" in size and cut:
        return {"resize": "exact", "width": size["width"], "height": size["height"], "crop": cut}
    return {"resize": "exact", "width": width, "height": height, "crop": None}


def _numbers(value: Any) -> list[float]:
    return [float(number) for number in value] if isinstance(value, list) else [float(value)]
