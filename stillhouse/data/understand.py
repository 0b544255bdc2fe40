"""What varies in the prompts and what the answers choose among, found in the traffic itself."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import final

from stillhouse.bundle.answer import AnswerForm, Field, canonical, read_object
from stillhouse.bundle.prompt import PromptForm
from stillhouse.chat import Message
from stillhouse.data.layouts import Layout, build_pieces, complete, take_apart
from stillhouse.data.tally import Tally, by_rows
from stillhouse.errors import NotATask, TrafficError, UsageError

__all__ = ["describe", "describe_answer", "describe_prompt", "learn_answer_form", "learn_prompt_form"]

LEADING_SHARE = 0.9
TEMPLATE_SHARE = 0.98
TURNS_SHARE = 0.01
FORM_SHARE = 0.95
FEWEST_PROMPTS = 10
"""Fewer different prompts say nothing about what is constant within a message."""
SHORTEST_AFFIX = 8
REFERENCES = 5
BUFFERED = 20_000
PREFIX_END = re.compile(r"""\n|[:>\]}|=“«]|(?<!\w)["'`]|[.!?;](?=\s)""")
"""Places a template's opening may end at, so that texts which happen to begin alike keep their words."""
SUFFIX_START = re.compile(r"""\n|[<\[{|”»]|["'`](?!\w)|\s(?=[A-Z])""")
POSSIBLE = (
    "Today Stillhouse learns answers that are one of up to 1,000 labels, or JSON objects whose keys each take few "
    "values. Ask the teacher for a label, or leave these rows out."
)


def learn_prompt_form(prompts: Sequence[tuple[Message, ...]]) -> PromptForm:
    """The constant part of some prompts; their order does not matter.

    Leading messages shared by 90 % of the prompts are set aside, and so are a prefix and a suffix of
    the last message shared by 98 % of the rest, where they end as templates do: at a line's end, a
    colon, a quote, a bracket or a full stop.
    """
    prompts = sorted(prompts, key=lambda prompt: prompt[-1].content)
    leading = _leading(prompts)
    rest = [prompt[len(leading) :] for prompt in prompts if prompt[: len(leading)] == leading]
    several = sum(len(prompt) > 1 for prompt in rest) >= max(TURNS_SHARE * len(rest), 1)
    texts = [prompt[-1].content for prompt in rest if several or len(prompt) == 1]
    prefix, suffix = _affixes(texts)
    return PromptForm(leading, prefix, suffix, several)


def _leading(prompts: Sequence[tuple[Message, ...]]) -> tuple[Message, ...]:
    leading: tuple[Message, ...] = ()
    matching = list(prompts)
    while True:
        following = Counter(prompt[len(leading)] for prompt in matching if len(prompt) > len(leading) + 1)
        message, count = following.most_common(1)[0] if following else (None, 0)
        if message is None or count < LEADING_SHARE * len(prompts):
            return leading
        leading = (*leading, message)
        matching = [prompt for prompt in matching if prompt[: len(leading)] == leading]


def _affixes(texts: Sequence[str]) -> tuple[str, str]:
    """The constant prefix and suffix of texts in sorted order."""
    if len(texts) < FEWEST_PROMPTS:
        return "", ""
    prefix = _trim_prefix(_shared(texts, str.startswith, lambda text, size: text[:size]))
    suffix = _trim_suffix(_shared(texts, str.endswith, lambda text, size: text[len(text) - size :]))
    if _fitting(texts, prefix, suffix) < math.ceil(TEMPLATE_SHARE * len(texts)):
        suffix = ""
    if _fitting(texts, prefix, suffix) < math.ceil(TEMPLATE_SHARE * len(texts)):
        prefix = ""
    return prefix, suffix


def _shared(texts: Sequence[str], has: Callable[[str, str], bool], cut: Callable[[str, int], str]) -> str:
    """The longest start (or end) that 98 % of the texts share, found by halving on a few of them."""
    needed = math.ceil(TEMPLATE_SHARE * len(texts))
    best = ""
    for reference in texts[:: max(len(texts) // REFERENCES, 1)]:
        low, high = len(best), len(reference)
        while low < high:
            middle = (low + high + 1) // 2
            affix = cut(reference, middle)
            if sum(has(text, affix) for text in texts) >= needed:
                low = middle
            else:
                high = middle - 1
        if low > len(best):
            best = cut(reference, low)
    return best


def _trim_prefix(prefix: str) -> str:
    ends = [match.end() for match in PREFIX_END.finditer(prefix)]
    trimmed = prefix[: ends[-1]] if ends else ""
    return trimmed if len(trimmed) >= SHORTEST_AFFIX else ""


def _trim_suffix(suffix: str) -> str:
    start = SUFFIX_START.search(suffix)
    trimmed = suffix[start.start() :] if start else ""
    return trimmed if len(trimmed) >= SHORTEST_AFFIX else ""


def _fitting(texts: Sequence[str], prefix: str, suffix: str) -> int:
    """How many texts have the prefix, the suffix and something between them."""
    around = len(prefix) + len(suffix)
    return sum(
        text.startswith(prefix) and text.endswith(suffix) and bool(text[len(prefix) : len(text) - len(suffix)].strip())
        for text in texts
        if len(text) > around
    )


def learn_answer_form(
    answers: Iterable[tuple[str, str]], *, labels: Sequence[str] = (), fields: Sequence[str] = ()
) -> AnswerForm:
    """What some answers choose among; `answers` are (answer, place) pairs in any order.

    `labels` overrules the labels found; `fields` keeps only these keys of a JSON answer. A key that
    some rows lack counts as null there. Raises NotATask for free text, and when all answers are
    equal; the error names rows by their place.
    """
    survey = _Survey()
    for answer, place in answers:
        survey.add(answer, place)
    return survey.form(labels, fields)


@final
class _Survey:
    """Counts of what the answers look like, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self.rows = 0
        self.objects = 0
        self.whole = Tally()
        self.keys: dict[str, Tally] = {}
        self.layouts: Counter[Layout] = Counter()
        self._buffer: dict[str, tuple[int, str]] = {}

    def add(self, answer: str, place: str) -> None:
        rows, first = self._buffer.get(answer, (0, place))
        self._buffer[answer] = (rows + 1, first)
        if len(self._buffer) >= BUFFERED:
            self._empty_buffer()

    def _empty_buffer(self) -> None:
        for answer, (rows, place) in self._buffer.items():
            self.rows += rows
            apart, values = take_apart(answer), read_object(answer)
            if apart is None or values is None:
                self.whole.add(answer.strip().encode(), answer, rows, place)
                continue
            self.objects += rows
            self.layouts[apart.layout] += rows
            for key, value in apart.values.items():
                self.keys.setdefault(key, Tally()).add(canonical(values[key]), value, rows, place)
        self._buffer.clear()

    def form(self, labels: Sequence[str], fields: Sequence[str]) -> AnswerForm:
        self._empty_buffer()
        if not self.rows:
            raise TrafficError("No row holds an answer. Stillhouse learns from calls the teacher has answered.")
        if self.objects >= FORM_SHARE * self.rows:
            if labels:
                raise UsageError("Labels were given, but the answers are JSON objects. Choose among their keys.")
            return self._json_form(fields)
        if fields:
            raise UsageError(f"The fields {', '.join(fields)} were asked for, but the answers are not JSON objects.")
        if labels:
            return self._given_labels(labels)
        return self._plain_form()

    def _given_labels(self, labels: Sequence[str]) -> AnswerForm:
        if len({label.strip() for label in labels}) != len(labels) or len(labels) < 2:
            raise UsageError("Give at least two labels, each once.")
        seen = {label.strip(): rows for label, rows in self.whole.counts().items()}
        counts = by_rows({label: seen.get(label.strip(), 0) for label in labels})
        if not any(counts.values()):
            raise NotATask(f"None of the answers is one of the {len(labels)} labels given.{_examples(self.whole)}")
        return AnswerForm((Field(None, tuple(counts)),), (0,))

    def _plain_form(self) -> AnswerForm:
        found = self.whole.judge()
        others = found.odd + self.objects
        if found.free or others > (1 - FORM_SHARE) * self.rows:
            kind = "some are JSON objects, others are not" if self.objects else "they are free text"
            raise NotATask(f"The answers are not labels: {kind}.{_examples(self.whole)}\n{POSSIBLE}")
        if len(found.counts) == 1:
            only = json.dumps(next(iter(found.counts)), ensure_ascii=False)
            raise NotATask(f"All {self.rows:,} answers are {only}. A constant needs no model: answer it in your code.")
        return AnswerForm((Field(None, tuple(found.counts)),), (0,))

    def _json_form(self, fields: Sequence[str]) -> AnswerForm:
        wanted = self._wanted_keys(fields)
        found: dict[str, tuple[str, ...]] = {}
        free: list[str] = []
        for key in wanted:
            tally = self.keys[key]
            if tally.rows < self.objects:
                tally.add(b"null", "null", self.objects - tally.rows, "a row without it")
            judged = tally.judge()
            if judged.free:
                free.append(key)
            found[key] = tuple(judged.counts)
        if free:
            usable = [key for key, values in found.items() if len(values) > 1]
            raise NotATask(self._free_key_message(free[0], usable))
        varying = [key for key, values in found.items() if len(values) > 1]
        if not varying:
            raise NotATask(
                f"All {self.objects:,} answers say the same. A constant needs no model: answer it in your code."
            )
        layout = self._commonest_layout(wanted)
        varying.sort(key=layout.names.index)
        pieces = build_pieces(
            layout,
            {key: values[0] for key, values in found.items() if len(values) == 1},
            {key: index for index, key in enumerate(varying)},
        )
        return AnswerForm(tuple(Field(key, found[key]) for key in varying), pieces)

    def _wanted_keys(self, fields: Sequence[str]) -> list[str]:
        unknown = [key for key in fields if key not in self.keys]
        if unknown:
            raise UsageError(f"The answers have no key {unknown[0]!r}. Their keys are: {', '.join(sorted(self.keys))}.")
        return sorted(set(fields) or self.keys)

    def _commonest_layout(self, wanted: Sequence[str]) -> Layout:
        whole = {layout: rows for layout, rows in self.layouts.items() if set(wanted) <= set(layout.names)}
        candidates = whole or self.layouts
        chosen = min(candidates, key=lambda layout: (-candidates[layout], layout.head, layout.keys, layout.tail))
        return complete(chosen, wanted)

    def _free_key_message(self, key: str, usable: Sequence[str]) -> str:
        advice = f" Or learn only the other keys: --fields {','.join(usable)}" if usable else ""
        return f'"{key}" varies freely in the answers.{_examples(self.keys[key])}\n{POSSIBLE}{advice}'


def _examples(tally: Tally) -> str:
    """Up to three values as indented lines, each with its file and line."""
    return "".join(f"\n  {place}: {_quote(value)}" for place, value in tally.examples)


def _quote(text: str, size: int = 60) -> str:
    text = " ".join(text.split())
    return f"“{text if len(text) <= size else text[:size] + '…'}”"


def describe(prompt: PromptForm, answer: AnswerForm) -> list[str]:
    """What was found, in a few plain sentences for the terminal."""
    return [*describe_prompt(prompt), *describe_answer(answer)]


def describe_prompt(prompt: PromptForm) -> list[str]:
    """What is constant in the prompts, and what the student reads, in plain sentences."""
    lines: list[str] = []
    if prompt.leading:
        size = sum(len(message.content) for message in prompt.leading)
        kind = f"{prompt.leading[0].role} message" if len(prompt.leading) == 1 else f"{len(prompt.leading)} messages"
        shown = _quote(prompt.leading[0].content)
        lines.append(f"Every call starts with the same {kind} ({size:,} characters), set aside: {shown}")
    if prompt.prefix or prompt.suffix:
        around = [
            f"{side} {_quote(text)}" for side, text in (("after", prompt.prefix), ("before", prompt.suffix)) if text
        ]
        lines.append(f"In the last message, the student reads what stands {' and '.join(around)}.")
    if prompt.several_turns:
        lines.append("Some calls have several turns; the student reads all of them.")
    return lines or ["Nothing is constant in the prompts: the student reads all of them."]


def describe_answer(answer: AnswerForm) -> list[str]:
    """What the answers look like, in plain sentences."""
    if not answer.is_json:
        return [f"The answer is one of {_label_list(answer.fields[0])}"]
    if len(answer.fields) == 1:
        lead = "The answer is a JSON object in which one key varies:"
    else:
        lead = f"The answer is a JSON object in which {len(answer.fields)} keys vary:"
    example = "".join(answer.write([0] * len(answer.fields)))
    fields = [f'"{field.name}", one of {_label_list(field)}' for field in answer.fields]
    return [lead, *fields, f"It is written like this: {example}"]


def _label_list(field: Field, shown: int = 5) -> str:
    names = [_quote(field.show(index), 40) for index in range(min(shown, len(field.labels)))]
    more = f" and {len(field.labels) - shown:,} more" if len(field.labels) > shown else ""
    return f"{len(field.labels):,} labels: {', '.join(names)}{more}."
