"""Rationales: the reasons of a teacher that leads to the known answer by itself, filtered and trimmed.

Chains of thought that end in the right answer are kept (STaR, arxiv.org/abs/2203.14465, §3), the answer told as a hint
where none does (its rationalization); a student learns them beside the answers (arxiv.org/abs/2305.02301, §3.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, final

import orjson

from stillhouse.data.items import Item, Method, Source, text_of
from stillhouse.errors import UsageError
from stillhouse.generation.flows import Flow
from stillhouse.generation.inquiry import ReadMedia, Unusable, answer_of, credit, json_of
from stillhouse.generation.pictures import pictures, with_pictures
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.templates import OF_ITEMS, Template, item_values

__all__ = ["HINTED", "THINK", "RationaleSettings", "Reasoner", "agrees", "explained_row", "known_answer", "trim"]

THINK = Template(
    user="{text}\n\nThink step by step. Then end with one line of the form `Answer: ...` that holds the answer alone."
)
"""What is asked where no template is given."""
HINTED = Template(
    user="{text}\n\nThe right answer is: {known}\n\nThink step by step and give the reasons that lead to it, as if you "
    "had not been told. Then end with one line of the form `Answer: ...` that holds the answer alone."
)
"""What is asked with the answer as a hint."""
ANSWER = re.compile(
    r"^[\s>*_#-]*(?:so |therefore,? )?(?:the )?(?:final )?answer[*_]*(?:\s+is\b\s*[:=]?|\s*[:=])"
    r"[\s*_]*([^\s:=*_].*?)[\s*_]*$",
    re.I,
)
BY_THE_WAY = re.compile(r"^(.*)\bthe (?:final )?answer is:?\s+(.+?)\s*$", re.I | re.S)
LEAD_IN = re.compile(
    r"^(?:sure[,!.]?|okay[,.]?|of course[,!.]?|let(?:'|’)?s (?:think|work|go)[^.:\n]*[.:]|here (?:is|are)[^.:\n]*:|"
    r"reasons?(?:ing)?:|step by step:|explanation:)\s*",
    re.I,
)
TOLD = re.compile(
    r"\b(?:(?:given|provided|stated|told|known|hinted|right|correct) answer (?:is|was|says|states|given|provided)|"
    r"as (?:given|stated|told|hinted|provided)|(?:i|we) (?:was|were|am|are) (?:told|given)|"
    r"according to the (?:hint|label|answer)|the hint|the (?:given|provided) (?:label|answer))\b",
    re.I,
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
CHOICE = re.compile(r"^\(?[a-h]\)?[).:]\s+", re.I)
END = re.compile(r"[.!?]\s|\n")
WORD = re.compile(r"\w+(?:[.,]\d+)?")
GRAM = 4
MARKS = " \n\t\"'`.*:;!"
SHOWN = 40


@final
@dataclass(frozen=True, kw_only=True)
class RationaleSettings:
    """How reasons are asked for, and which are kept."""

    samples: int = 1
    """How often each item is thought about; the first chain that passes is kept."""
    hint: bool = True
    """Whether the answer is told where no chain leads to it."""
    fewest: int = 5
    """Words of the shortest reasons that are kept."""
    most: int = 300
    silent: bool = False
    """Whether reasons are left out that name the answer where the question does not."""
    copied: float = 0.8
    """Reasons are a copy when a larger share of their runs of four words stands in the question."""
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More keys of the request."""

    def __post_init__(self) -> None:
        if self.samples < 1 or not 0 <= self.fewest <= self.most:
            raise UsageError(f"samples must be 1 or more, and fewest not above most: {self.fewest}, {self.most}.")
        if not 0 < self.copied <= 1:
            raise UsageError(f"copied is a share above 0 and up to 1; it is {self.copied}.")


@final
class Reasoner:
    """Asks one teacher for the reasons of known answers; `begin` is the flow of one item."""

    def __init__(
        self,
        model: str,
        template: Template,
        settings: RationaleSettings,
        read_media: ReadMedia | None = None,
        teacher: str | None = None,
    ) -> None:
        """Raises UsageError for a template that cannot be used, or tells the answer."""
        self.model, self.template, self.settings = model, template, settings
        self._read_media, self._teacher = read_media, teacher or model
        template.check(OF_ITEMS)
        telling = sorted({"answer", "label", "truth", "rationale"} & template.blanks)
        if telling:
            raise UsageError(f"The template fills in {{{telling[0]}}}, which tells the answer that is to be found.")
        self._schema = template.answers()

    def to_json(self) -> dict[str, Any]:
        """How it asks, for the lineage of what it makes."""
        return {name: value for name, value in asdict(self.settings).items() if value}

    def begin(self, item: Item) -> Flow:
        """What is asked about an item, and the item with reasons; raises Unusable where none pass."""
        self.template.check_item(item)
        known = known_answer(item)
        values = item_values(item)
        parts = pictures(item, self._read_media)
        messages = with_pictures(self.template.fill(values), parts)
        replies = yield [self._question(self.template, messages, number) for number in range(self.settings.samples)]
        found = [self._read(reply, item, known) for reply in replies]
        right = [each for each in found if isinstance(each, str)]
        if right:
            return self._explained(item, known, right[0], len(right) / len(found), False)
        if self.settings.hint:
            told = with_pictures(HINTED.fill({**values, "known": known}), parts)
            (reply,) = yield [self._question(HINTED, told, 0)]
            hinted = self._read(reply, item, known)
            if isinstance(hinted, str):
                return self._explained(item, known, hinted, 0.0, True)
        raise next(each for each in found if isinstance(each, Unusable))

    def _question(self, template: Template, messages: Sequence[Mapping[str, Any]], again: int) -> Question:
        said = {"model": self.model, "messages": list(messages), **template.body(), **self.settings.request}
        return Question("", orjson.dumps(said, option=orjson.OPT_SORT_KEYS), again)

    def _read(self, reply: Reply, item: Item, known: str) -> str | Unusable:
        """The reasons in an answer, or why they are not kept."""
        try:
            reasons, said = self._parts(reply)
            if not agrees(said, known):
                raise Unusable(f"wrong answer: {said[:SHOWN]!r}, not {known[:SHOWN]!r}")
            trimmed = trim(reasons)
            self._pass(trimmed, item.text, known)
        except Unusable as error:
            return error
        return trimmed

    def _parts(self, reply: Reply) -> tuple[str, str]:
        """Reasons and answer, by the fields of a JSON answer or by its last lines."""
        if reply.refused is not None:
            raise Unusable(f"refused by the teacher: {reply.refused}")
        if self._schema is not None and self.template.schema is not None:
            value = json_of(reply)
            wrong = self._schema.mismatch(value)
            if wrong is not None or not {"reasons", "answer"} <= value.keys():
                misfit = (wrong or "it has no `reasons` and `answer`").removeprefix("item").lstrip(": .")
                raise Unusable(f"does not fit the schema: {misfit}")
            return str(value["reasons"]), str(value["answer"])
        return _split(text_of(answer_of(reply)))

    def _pass(self, reasons: str, question: str, known: str) -> None:
        """Raise Unusable for reasons that teach nothing."""
        words = _words(reasons)
        if not self.settings.fewest <= len(words) <= self.settings.most:
            raise Unusable(f"length: {len(words)} words")
        told = TOLD.search(reasons)
        if told:
            raise Unusable(f"leak: it says that it was told ({told[0]!r})")
        answer = _words(known)
        others = [word for word in words if word not in answer]
        if len(others) < min(self.settings.fewest, 3):
            raise Unusable("leak: it only says the answer again")
        named, asked = f" {' '.join(answer)} ", f" {' '.join(_words(question))} "
        if self.settings.silent and named in f" {' '.join(words)} " and named not in asked:
            raise Unusable(f"leak: it names the answer {known[:SHOWN]!r}")
        shared = _shared(words, _words(question))
        if shared > self.settings.copied:
            raise Unusable(f"copy: {shared:.0%} of it stands in the question")

    def _explained(self, item: Item, known: str, reasons: str, share: float, hinted: bool) -> Item:
        tags = tuple(tag for tag in item.facts.tags if tag != "hinted")
        facts = replace(item.facts, grade=round(share, 6), tags=(*tags, "hinted") if hinted else tags)
        teacher = credit(item, self._teacher, keeps_answer=True)
        source = Source(Method.LABELLED, item.source.origin, item.source.row, teacher, (item.id,))
        answer = item.answer or {"role": "assistant", "content": known}
        return replace(item, rationale=reasons, answer=answer, facts=facts, source=source)


def known_answer(item: Item) -> str:
    """The answer that reasons must lead to: what is right, else the label, else the answer; Unusable without any."""
    known = item.truth or item.label or item.words
    if not known.strip():
        raise Unusable("no known answer: reasons cannot be compared with anything")
    return known.strip()


def explained_row(item: Item) -> dict[str, Any]:
    """An item with reasons as a row of the two-task objective: `prompt`, `completion`, `rationale`."""
    plain = len(item.messages) == 1 and item.messages[0].get("role") == "user" and not item.media
    known = item.words or known_answer(item)
    beside = {"rationale": item.rationale} if item.rationale else {}
    if plain:
        return {"prompt": item.text, "completion": known, **beside}
    answer = {"role": "assistant", "content": known}
    return {"prompt": [dict(message) for message in item.messages], "completion": [answer], **beside}


def agrees(said: str, known: str) -> bool:
    """Whether two answers are the same, whatever their case, marks, letter of choice, or way to write a number."""
    one, other = _plain(said), _plain(known)
    if one == other or CHOICE.sub("", one) == other:
        return True
    wanted = _number(other)
    if wanted is None:
        return False
    found = NUMBER.findall(one)
    return bool(found) and _number(found[-1]) == wanted


def trim(reasons: str) -> str:
    """Reasons without the words around them, and white space of one kind."""
    text = reasons.strip().strip("`").strip()
    while (shorter := LEAD_IN.sub("", text)) != text:
        text = shorter.strip()
    text = re.sub(r"[ \t]+", " ", text)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _split(words: str) -> tuple[str, str]:
    """Reasons and the answer they end in; raises Unusable where no answer is marked."""
    lines = words.strip().splitlines()
    for at in range(len(lines) - 1, -1, -1):
        found = ANSWER.match(lines[at])
        if found:
            return "\n".join(lines[:at]), found[1]
        if lines[at].lstrip().startswith("####"):
            return "\n".join(lines[:at]), lines[at].lstrip(" #")
    ends = BY_THE_WAY.match(words)
    if ends:
        last = max((found.end() for found in END.finditer(ends[1])), default=0)
        return ends[1][:last], ends[2].partition("\n")[0]
    raise Unusable(f"no answer: nothing marks it in {words[-SHOWN:]!r}")


def _plain(text: str) -> str:
    return " ".join(text.casefold().strip(MARKS).split())


def _number(text: str) -> Decimal | None:
    """The value of a text that is a number, perhaps with a sign of money or percent."""
    plain = text.strip(" $€£%").replace(",", "")
    try:
        value = Decimal(plain)
    except InvalidOperation:
        return None
    return value.normalize() if value.is_finite() else None


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _shared(words: Sequence[str], question: Sequence[str]) -> float:
    """The share of runs of four words that stand in the question as well."""
    runs = [tuple(words[at : at + GRAM]) for at in range(len(words) - GRAM + 1)]
    asked = {tuple(question[at : at + GRAM]) for at in range(len(question) - GRAM + 1)}
    return sum(run in asked for run in runs) / len(runs) if runs else 0.0
