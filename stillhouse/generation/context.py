"""Context distillation: a teacher answers with a handbook, passages or examples at hand; its student learns without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

from stillhouse.artifacts import hash_bytes
from stillhouse.data.items import Item, Method, Source
from stillhouse.errors import UsageError
from stillhouse.generation.inquiry import Ask, Inquiry, Unusable, answer_of, credit
from stillhouse.generation.judge import asked_text
from stillhouse.generation.passages import Passages
from stillhouse.generation.pictures import said, shown, with_pictures
from stillhouse.generation.questions import Question
from stillhouse.generation.select import Sifted

__all__ = ["Context", "Shown", "distil", "opening", "show"]


@final
@dataclass(frozen=True)
class Context:
    """What the teacher sees beside the prompt."""

    handbook: str = ""
    """The same long text before every prompt."""
    passages: Passages | None = None
    """Where passages that fit the prompt are found."""
    per_prompt: int = 3
    """So many of them."""
    examples: tuple[Item, ...] = ()
    """Prompts with their answers, shown as examples; those nearest to the prompt where `nearest` finds them."""
    nearest: Passages | None = None
    """The texts of the examples, in their order, to be searched."""
    shots: int = 4

    def __post_init__(self) -> None:
        if not (self.handbook or self.passages or self.examples):
            raise UsageError("Without a handbook, passages or examples there is no context to distil.")


@final
@dataclass(frozen=True)
class Shown:
    """What was put before one prompt."""

    text: str
    passages: tuple[int, ...] = ()
    """Positions of passages, best first."""
    examples: tuple[str, ...] = ()
    """The ids of examples."""


def show(context: Context, item: Item) -> Shown:
    """The context of one prompt: the handbook, then passages with numbers, then examples. Never the prompt itself."""
    found = context.passages.find(item.text, context.per_prompt) if context.passages is not None else []
    examples = _examples(context, item)
    parts = [context.handbook.strip()] if context.handbook.strip() else []
    parts += [f"[{number}] {one.text}" for number, one in enumerate(found, 1)]
    parts += [f"Question: {asked_text(one)}\nAnswer: {_answer(one)}" for one in examples]
    return Shown("\n\n".join(parts), tuple(one.at for one in found), tuple(one.id for one in examples))


def opening(inquiry: Inquiry, context: Context, items: Sequence[Item]) -> list[Question]:
    """The questions: the form's blanks are `context` and `question`; raises Unusable for a file that is no picture."""
    return [_question(inquiry, item, show(context, item)) for item in items]


def distil(inquiry: Inquiry, context: Context, items: Sequence[Item], ask: Ask, keep: bool = False) -> Sifted:
    """Every prompt as it was, with the answer that the teacher gave when it saw the context as well.

    A student that learns them answers as if it had seen the context: context distillation, A. Askell et al., "A general
    language assistant as a laboratory for alignment" (2021, arxiv.org/abs/2112.00861), section 2.2, and C. Snell et
    al., "Learning by distilling context" (2022, arxiv.org/abs/2209.15189). With `keep` the items hold the context too,
    and a student learns to make use of it.
    """
    shown = [show(context, item) for item in items]
    replies = ask([_question(inquiry, *each) for each in zip(items, shown, strict=True)])
    kept: list[Item] = []
    dropped: list[tuple[Item, str]] = []
    for item, seen in zip(items, shown, strict=True):
        found = _noted(inquiry, item, seen, keep)
        try:
            message = answer_of(replies.get(f"context/{item.id}"))
            kept.append(replace(found, answer=message))
        except Unusable as error:
            dropped.append((found, str(error)))
    return Sifted(tuple(kept), tuple(dropped))


def _examples(context: Context, item: Item) -> list[Item]:
    """The examples shown before a prompt, the nearest last: it is read last."""
    if not context.examples:
        return []
    if context.nearest is not None:
        near = context.nearest.find(item.text, context.shots + 1)
        picked = [context.examples[one.at] for one in near]
    else:
        picked = list(context.examples[: context.shots + 1])
    others = [one for one in picked if one.text.strip() != item.text.strip()]
    return others[: context.shots][::-1]


def _question(inquiry: Inquiry, item: Item, seen: Shown) -> Question:
    messages = with_pictures(_messages(inquiry, item, seen), shown(item.media, inquiry.read_media))
    return inquiry.send(f"context/{item.id}", messages)


def _messages(inquiry: Inquiry, item: Item, seen: Shown) -> list[dict[str, object]]:
    """What the teacher reads: the form filled in, after whatever the system and earlier turns said."""
    before = [dict(message) for message in item.messages[:-1]] if len(item.messages) > 1 else []
    filled = inquiry.form.fill({"context": seen.text, "question": item.text})
    return [*before, *with_pictures(filled, said(item.messages[-1:]))]


def _noted(inquiry: Inquiry, item: Item, seen: Shown, keep: bool) -> Item:
    metadata = {**item.facts.metadata, "context": hash_bytes(seen.text.encode())[:16]}
    if seen.passages:
        metadata["passages"] = ",".join(map(str, seen.passages))
    return replace(
        item,
        messages=tuple(_messages(inquiry, item, seen)) if keep else item.messages,
        facts=replace(item.facts, model=inquiry.model, grade=None, metadata=metadata),
        source=Source(
            Method.LABELLED, f"context/{item.id}", 0, credit(item, inquiry.teacher), (item.id, *seen.examples)
        ),
    )


def _answer(item: Item) -> str:
    return item.words or item.label or item.truth or ""
