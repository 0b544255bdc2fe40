"""Forms: the prompts that come with Stillhouse, by name, each of which a file of the user's may replace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Inquiry, ReadMedia
from stillhouse.generation.templates import Template, read_template

__all__ = ["FORMS", "form", "inquiry"]

FOLDER = Path(__file__).parent / "prompts"
FORMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompts_from_seeds": ("examples", "count"),
        "prompts_from_personas": ("persona", "examples", "count"),
        "prompts_from_documents": ("document", "examples", "count"),
        "prompts_for_labels": ("label", "meaning", "examples", "count"),
        "evolve": ("prompt", "change"),
        "counterfactual": ("text", "label", "target"),
        "look": ("text", "labels"),
        "judge_score": ("question", "answer"),
        "judge_pair": ("question", "first", "second"),
        "judge_label": ("text", "labels"),
        "context": ("context", "question"),
    }
)
"""Every prompt with the blanks that are filled in: a file in its place may use some of them, and no others."""


def form(name: str, instead: Path | None = None) -> Template:
    """A prompt, or the user's in its place; raises UsageError naming what is wrong with that."""
    template = read_template(instead or FOLDER / f"{name}.toml")
    try:
        template.check(FORMS[name])
    except UsageError as error:
        raise UsageError(f"{instead}: {error}") from error
    return template


def inquiry(
    model: str,
    name: str,
    request: Mapping[str, Any],
    instead: Path | None = None,
    called: str | None = None,
    read_media: ReadMedia | None = None,
) -> Inquiry:
    """How a model is asked by a prompt; what `request` says goes before what the prompt says.

    `called` is the teacher's name among those of a server, and `read_media` reads the pictures that it is shown.
    """
    template = form(name, instead)
    return Inquiry(model, template, {**template.body(), **request}, called, read_media)
