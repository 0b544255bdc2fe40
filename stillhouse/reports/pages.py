"""Opens a page template, with filters that show numbers and foreign texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from stillhouse.reports import figures

__all__ = ["open_template"]


def open_template(name: str, autoescape: bool, filters: Mapping[str, Callable[..., str]]) -> Template:
    """A template of this package; `filters` come on top of those of `figures` and may replace them."""
    environment = Environment(
        loader=PackageLoader("stillhouse.reports"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown: dict[str, Callable[..., str]] = {name: getattr(figures, name) for name in figures.__all__}
    known = cast(dict[str, Callable[..., str]], environment.filters)  # pyright: ignore[reportUnknownMemberType]
    known.update({**shown, **filters})
    return environment.get_template(name)
