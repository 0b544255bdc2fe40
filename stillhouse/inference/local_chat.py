"""LocalChat: a language model on this machine as a `Chat`, streaming or whole, many calls at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, final

from stillhouse.bundle.erased import refuse_withdrawn
from stillhouse.chat import ChatCall, Relayed, Route, Usage
from stillhouse.errors import ModelFailed
from stillhouse.extras import require
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.grammar import Grammar, Grammars, write_grammar
from stillhouse.inference.row import End, Event, Order, Row
from stillhouse.inference.tool_calls import CLOSE, ToolCalls
from stillhouse.inference.words import Piece
from stillhouse.storage.ids import new_id
from stillhouse.wire.chat import DONE, write_event
from stillhouse.wire.chat_options import ChatOptions, Toolbox, read_options
from stillhouse.wire.choices import (
    Head,
    ToolCall,
    Written,
    write_call,
    write_choices,
    write_end,
    write_opening,
    write_usage,
    write_words,
)
from stillhouse.wire.errors import write_error
from stillhouse.wire.fields import wrong_value

if TYPE_CHECKING:
    from stillhouse.inference.decode import Decoder, Limits

__all__ = ["LocalChat"]


@final
class LocalChat:
    """Answers chat calls with a Transformers model, under one name; use `open`."""

    def __init__(self, name: str, decoder: Decoder, tokens: ChatTokens) -> None:
        self.name = name
        self._decoder, self._tokens = decoder, tokens
        self._grammars = Grammars(tokens.written, decoder.vocabulary, tokens.ends)

    @classmethod
    def open(
        cls,
        source: str,
        *,
        name: str,
        threads: int | None = None,
        device: str | None = None,
        limits: Limits | None = None,
        seen: Callable[[int], None] | None = None,
    ) -> LocalChat:
        """A model by its Transformers folder, hub id, or folder of PEFT adapters; this takes as long as it is large.

        `threads` of the machine compute; `seen` is told how many answers are written together, whenever some join.
        Raises UsageError for what cannot be opened, or does not chat, and BundleError for what was withdrawn.
        """
        refuse_withdrawn(Path(source))
        require("local", "answer with a language model on this machine")
        from stillhouse.inference.decode import Decoder  # it brings torch

        decoder, tokens = Decoder.open(source, limits, threads, device, seen)
        return cls(name, decoder, tokens)

    async def __call__(self, call: ChatCall) -> Relayed:
        """The answer to one call; whoever stops waiting for it, or for its stream, takes it out of the batch.

        Raises WireError for what cannot be answered, with status 429 when too many wait, and ModelFailed.
        """
        options, order = await asyncio.to_thread(self._read, call)
        head = Head(new_id("chatcmpl-"), int(time.time()), self.name, call.logprobs, call.include_usage)
        talk = Talk(head, order, call.n, options.tools)
        talk.rows = [Row(order, index, self._tokens, talk.hear) for index in range(call.n)]
        self._decoder.submit(talk.rows)
        try:
            if call.stream:
                await talk.begin()
                return Relayed(talk, Route("local"))
            return Relayed(await talk.whole(), Route("local"))
        except BaseException:
            talk.close()
            raise

    def close(self) -> None:
        """End the answers under way, and give the model up."""
        self._decoder.close()

    def _read(self, call: ChatCall) -> tuple[ChatOptions, Order]:
        """What is to be written; runs in a thread, because long prompts and schemas take their time."""
        options = read_options(call)
        beyond = [token for token in options.drawing.logit_bias if token >= self._decoder.vocabulary]
        if beyond:
            raise wrong_value("logit_bias", f"this model has no token {beyond[0]}")
        prompt = self._tokens.read(options)
        room = self._tokens.context - len(prompt)
        in_tags = bool(options.tools) and self._tokens.tags_calls(list(options.tools.functions))
        only_one = (CLOSE,) if in_tags and options.tools and not options.tools.several else ()
        order = Order(
            prompt=prompt,
            most=min(options.most_tokens or room, room),
            drawing=options.drawing,
            stops=(*options.stop, *self._tokens.stops, *only_one),
            grammar=self._grammar(options, in_tags),
            top=call.top_logprobs if call.logprobs else None,
        )
        return options, order

    def _grammar(self, options: ChatOptions, in_tags: bool) -> Grammar | None:
        text = write_grammar(options.schema, options.tools, in_tags)
        return (
            self._grammars.compile(text, "response_format" if options.schema is not None else "tools") if text else None
        )


@final
class Talk:
    """One call's answer as it comes: a stream of server-sent events, or all of it at the end."""

    def __init__(self, head: Head, order: Order, n: int, tools: Toolbox | None) -> None:
        self.rows: Sequence[Row] = ()
        self._head, self._read = head, len(order.prompt)
        self._loop, self._events = asyncio.get_running_loop(), asyncio.Queue[tuple[int, Event]]()
        self._readers = [ToolCalls(tools.names, tools.several) if tools else None for _ in range(n)]
        self._ends: dict[int, End] = {}
        self._opened: set[int] = set()
        self._ready = b""
        self._is_over = False

    def hear(self, index: int, event: Event) -> None:
        """Take a piece of a choice, or its end, from the thread that writes."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._events.put_nowait, (index, event))

    async def whole(self) -> bytes:
        """The JSON of the whole answer; raises ModelFailed when a choice could not be written."""
        parts: list[list[Piece | ToolCall]] = [[] for _ in self._readers]
        while len(self._ends) < len(self._readers):
            index, event = await self._events.get()
            parts[index] += self._take(index, event)
        choices = [_written(part, self._reason(index)) for index, part in enumerate(parts)]
        return write_choices(self._head, choices, self._usage())

    async def begin(self) -> None:
        """Wait for the first event, so that what fails before it can be told as any other error."""
        self._ready = self._event(*await self._events.get())

    def __aiter__(self) -> Talk:
        return self

    async def __anext__(self) -> bytes:
        """The events of what has been written since."""
        ready, self._ready = self._ready, b""
        if self._is_over and not ready:
            raise StopAsyncIteration
        while not (ready or self._is_over):
            ready = self._try_event(*await self._events.get())
        while not (self._is_over or self._events.empty()):
            ready += self._try_event(*self._events.get_nowait())
        return ready

    def close(self) -> None:
        """Nobody waits for the answer any more."""
        for row in self.rows:
            row.leave()

    def _try_event(self, index: int, event: Event) -> bytes:
        """The same once the stream has begun: an error becomes the last event."""
        try:
            return self._event(index, event)
        except ModelFailed as error:
            self._is_over = True
            self.close()
            return write_event(write_error(str(error), 500, "model_failed"))

    def _event(self, index: int, event: Event) -> bytes:
        """The server-sent events of a piece or an end; raises ModelFailed."""
        written: list[bytes] = []
        parts = self._take(index, event)
        if index not in self._opened:
            self._opened.add(index)
            written.append(write_opening(self._head, index))
        for part in parts:
            if isinstance(part, ToolCall):
                written.append(write_call(self._head, index, part))
            elif part.text or (self._head.logprobs and part.tokens):
                written.append(write_words(self._head, index, part.text, part.tokens))
        if isinstance(event, End):
            written.append(write_end(self._head, index, self._reason(index)))
        if len(self._ends) == len(self._readers):
            self._is_over = True
            written += [write_usage(self._head, self._usage()), DONE]
        return b"".join(written)

    def _take(self, index: int, event: Event) -> list[Piece | ToolCall]:
        """What is certain of a choice now; raises ModelFailed when it could not be written."""
        reader = self._readers[index]
        if isinstance(event, Piece):
            return reader.add(event) if reader else [event]
        self._ends[index] = event
        if event.error:
            raise event.error
        return reader.end() if reader else []

    def _reason(self, index: int) -> str:
        reason, reader = self._ends[index].reason, self._readers[index]
        return "tool_calls" if reader and reader.count and reason == "stop" else reason

    def _usage(self) -> Usage:
        return Usage(self._read, sum(end.tokens for end in self._ends.values()))


def _written(parts: Sequence[Piece | ToolCall], reason: str) -> Written:
    pieces = [part for part in parts if isinstance(part, Piece)]
    return Written(
        text="".join([piece.text for piece in pieces]),
        reason=reason,
        calls=tuple([part for part in parts if isinstance(part, ToolCall)]),
        tokens=tuple([token for piece in pieces for token in piece.tokens]),
    )
