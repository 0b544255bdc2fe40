"""Conversations as the tokens that a model reads, by its chat template, and what each token that it writes says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

from jinja2 import TemplateError

from stillhouse.errors import UsageError
from stillhouse.inference.tool_calls import OPEN
from stillhouse.signals.token_bytes import read_token_bytes
from stillhouse.wire.chat_options import ChatOptions
from stillhouse.wire.errors import Unsupported, WireError
from stillhouse.wire.fields import wrong_value

__all__ = ["PLAIN_STOP", "PLAIN_TEMPLATE", "ChatTokens"]

PLAIN_TEMPLATE = (
    "{% if bos_token is defined and bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)
"""How conversations are written for a model that brings no chat template."""
PLAIN_STOP = "\n### user"
"""What such a model writes when it goes on after its answer."""
HELD = 65536
"""Characters of a template that are looked at to tell how it writes calls."""


@final
class ChatTokens:
    """The tokenizer of a model that chats; it may be asked by several threads at once."""

    def __init__(self, tokenizer: Any, ends: Iterable[int], context: int) -> None:
        """`ends`: the tokens that end an answer; `context`: how many tokens prompt and answer may have together.

        Raises UsageError for a tokenizer that does not tell what bytes its tokens write.
        """
        self.ends, self.context = frozenset(ends), context
        self._tokenizer, self._backend = tokenizer, tokenizer.backend_tokenizer
        told = read_token_bytes(self._backend)
        if not told.known.sum() > len(told.pieces) // 2:
            raise UsageError(
                f"The tokenizer ({type(tokenizer).__name__}) does not tell the bytes of its tokens, as WordPiece does "
                "not, so answers cannot be written piece by piece. Choose a model that was made to chat."
            )
        special = told.special.tolist()
        self._names = [piece or b"" for piece in told.pieces]
        self._contents = [b"" if special[index] else piece for index, piece in enumerate(self._names)]
        self.has_template = bool(tokenizer.chat_template)
        self.stops: tuple[str, ...] = () if self.has_template else (PLAIN_STOP,)
        self.drops_space = self._drops_space()

    def __len__(self) -> int:
        return len(self._names)

    @property
    def written(self) -> str:
        """The tokenizer as the JSON of its file."""
        return self._backend.to_str()

    def content(self, token: int) -> bytes:
        """What a token adds to an answer: nothing if it is special."""
        return self._contents[token] if token < len(self._contents) else b""

    def name(self, token: int) -> bytes:
        """What a token is called: its bytes, also where it is special."""
        return self._names[token] if token < len(self._names) else b""

    def read(self, options: ChatOptions) -> tuple[int, ...]:
        """The tokens of a conversation up to where the answer begins.

        Raises WireError when the template refuses it, has no place for tools, or too little room is left to answer.
        """
        text = self._render(options)
        ids = tuple(self._backend.encode(text, add_special_tokens=False).ids)
        if len(ids) >= self.context:
            raise WireError(
                f"This model's maximum context length is {self.context} tokens. However, your messages resulted in "
                f"{len(ids)} tokens. Please reduce the length of the messages.",
                "context_length_exceeded",
                "messages",
            )
        if not ids:
            raise wrong_value("messages", "they come to no tokens at all")
        return ids

    def tags_calls(self, tools: Any = None) -> bool:
        """Whether the template has calls of tools in tags; otherwise they are bare JSON."""
        return OPEN in self._template(tools)

    def _render(self, options: ChatOptions) -> str:
        tools = list(options.tools.functions) if options.tools else None
        if tools and "tools" not in self._template(tools):
            raise Unsupported("This model's chat template has no place for tools.", "tools")
        try:
            return self._tokenizer.apply_chat_template(
                list(options.turns),
                tools=tools,
                chat_template=None if self.has_template else PLAIN_TEMPLATE,
                add_generation_prompt=True,
                tokenize=False,
                **_thoughts(options.effort),
            )
        except (TemplateError, TypeError, ValueError) as error:
            roles = ", ".join([str(turn["role"]) for turn in options.turns][:8])
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise wrong_value("messages", f"this model's chat template refuses the roles {roles}: {reason}") from error

    def _template(self, tools: Any) -> str:
        if not self.has_template:
            return PLAIN_TEMPLATE
        return str(self._tokenizer.get_chat_template(tools=tools))[:HELD]

    def _drops_space(self) -> bool:
        """Whether the tokenizer leaves out the space with which a text begins, as SentencePiece does."""
        found = next((index for index, piece in enumerate(self._contents) if len(piece) > 1 and piece[:1] == b" "), -1)
        return found >= 0 and not self._backend.decode([found]).startswith(" ")


def _thoughts(effort: str | None) -> Mapping[str, Any]:
    """What templates of models that think go by: some know how much, others only whether."""
    if effort is None:
        return {}
    return {"enable_thinking": False} if effort == "none" else {"reasoning_effort": effort}
