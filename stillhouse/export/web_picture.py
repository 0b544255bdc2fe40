"""How a page prepares a picture: the steps of the image processor that lies beside a model, in words of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.export.onnx_folder import image_size
from stillhouse.export.subject import Subject
from stillhouse.models.pictures import PROCESSOR, edges_of, processor_beside, shades_of

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
    told = processor_beside(subject.folder)
    strange = [name for name in UNKNOWN if told.get(name)]
    filtered = FILTERS.get(told.get("resample", 2))
    if strange or filtered is None:
        raise UsageError(
            f"{subject.folder / PROCESSOR} asks for {', '.join(strange) or 'a filter'} that the page does not know. "
            "It resizes (bilinear, bicubic, Lanczos), crops the centre, scales and normalises."
        )
    shades = shades_of(told)
    return {
        **_resize(told, height, width),
        "channels": channels,
        "mean": list(shades.mean),
        "std": list(shades.std),
        "scale": shades.scale,
        "filter": filtered,
    }


def _resize(told: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """To which size: of both edges (`exact`) or of the shorter one (`edge`), and what is cut out of its centre."""
    size = told.get("size")
    whole, crop = edges_of(size), edges_of(told.get("crop_size")) if told.get("do_center_crop") else None
    edge = size.get("shortest_edge") if isinstance(size, dict) else None
    if edge and told.get("crop_pct") and edge < 384:
        crop = edge, edge
        edge = int(edge / told["crop_pct"])
    cut = [crop[1], crop[0]] if crop else None
    if edge and cut and told.get("do_resize", True):
        return {"resize": "edge", "width": edge, "height": edge, "crop": cut}
    if whole and not edge and cut:
        return {"resize": "exact", "width": whole[1], "height": whole[0], "crop": cut}
    return {"resize": "exact", "width": width, "height": height, "crop": None}
