"""PromptForm: the constant part of every prompt set aside, and the text that varies read out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.chat import Message

__all__ = ["PromptForm", "render_turns"]


def render_turns(messages: Sequence[Message]) -> str:
    """The words of some messages as one text: alone as they are, several as `role: words` lines."""
    if len(messages) == 1:
        return messages[0].content
    return "\n".join(f"{message.role}: {message.content}" for message in messages)


@dataclass(frozen=True)
class PromptForm:
    """How calls look: `leading` messages never change; the rest is the text between prefix and suffix.

    The student reads only that text. A call that does not start with `leading`, or whose last
    message lacks the prefix or suffix, was not seen in training: `read` answers None for it.
    """

    leading: tuple[Message, ...] = ()
    prefix: str = ""
    suffix: str = ""
    several_turns: bool = False
    """Whether training saw conversations of more than one varying message."""

    def read(self, messages: Sequence[Message]) -> str | None:
        """The varying text of a call, or None when the call does not fit this form."""
        if self.misfit(messages) is not None:
            return None
        varying = list(messages[len(self.leading) :])
        last = varying[-1].content
        middle = last[len(self.prefix) : len(last) - len(self.suffix)]
        varying[-1] = Message(varying[-1].role, middle.strip())
        return render_turns(varying)

    def misfit(self, messages: Sequence[Message]) -> str | None:
        """Why a call does not fit this form, as a clause about the call; None when it fits."""
        start = len(self.leading)
        if tuple(messages[:start]) != self.leading:
            return f"its prompt does not start with the {self._leading_roles()} that the others share"
        varying = messages[start:]
        if not varying or varying[-1].role == "assistant":
            return "its prompt does not end with a message to answer"
        if len(varying) > 1 and not self.several_turns:
            return f"its prompt has {len(varying)} messages where the others have one"
        last = varying[-1].content
        fits = last.startswith(self.prefix) and last.endswith(self.suffix)
        if not fits or len(last) < len(self.prefix) + len(self.suffix):
            return "its last message lacks the constant text around it that the others share"
        return None

    def _leading_roles(self) -> str:
        if len(self.leading) == 1:
            return f"{self.leading[0].role} message"
        return f"{len(self.leading)} messages"
