"""Label: a teacher says what items are, as often as wanted; no label where its answers do not agree or it is unsure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import orjson

from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.data.formats import Row, parse_row
from stillhouse.data.items import Item, Method, Source, text_of
from stillhouse.data.soft import soft_labels
from stillhouse.errors import UsageError
from stillhouse.generation.flows import Flow
from stillhouse.generation.inquiry import ReadMedia, Unusable, answer_of, credit, json_of
from stillhouse.generation.pictures import pictures, with_pictures
from stillhouse.generation.questions import Question, Reply
from stillhouse.generation.templates import OF_ITEMS, Template, item_values

__all__ = ["LABEL", "PLAIN", "UNSURE", "LabelSettings", "Labeller"]

LABEL = "label"
"""The field of a JSON answer that holds the label."""
UNSURE = "unsure"
"""The tag of items that no label was given."""
PLAIN = Template(user="Answer with exactly one of these labels and nothing else: {label_names}.\n\n{text}")
"""What is asked where no template is given."""
MOST_LIKELY = 20
MARKS = "\"'`.*: \n\t"
SHOWN = 60


@final
@dataclass(frozen=True, kw_only=True)
class LabelSettings:
    """How items are labelled."""

    labels: tuple[str, ...] = ()
    """What there is to choose among; none: any answer is kept as it comes."""
    samples: int = 1
    """How often each item is asked about."""
    together: bool = False
    """Whether the samples come of one call (`n`), which reads the prompt once; not every API knows that."""
    retries: int = 2
    """How often an answer that does not fit is asked for again, with what is wrong about it."""
    agree: float = 0.0
    """With a smaller share of all samples for it, usable or not, there is no label."""
    sure: float = 0.0
    """With a smaller probability of it there is no label, where log-probabilities came."""
    unsure: str | None = None
    """What the teacher answers when it cannot tell, if the template offers that."""
    logprobs: bool = False
    """Whether log-probabilities are asked for, which become `soft`."""
    request: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More keys of the request; they go before those of the template."""

    def __post_init__(self) -> None:
        if self.samples < 1 or self.retries < 0:
            raise UsageError(f"samples must be 1 or more and retries 0 or more: {self.samples}, {self.retries}.")
        if not (0 <= self.agree <= 1 and 0 <= self.sure <= 1):
            raise UsageError(f"Shares are between 0 and 1; agree is {self.agree} and sure is {self.sure}.")
        if len(set(self.labels)) < len(self.labels) or len(self.labels) == 1 or "" in self.labels:
            raise UsageError(f"Two or more different labels are needed, or none: {list(self.labels)}.")
        if self.unsure is not None and self.unsure.casefold() in {label.casefold() for label in self.labels}:
            raise UsageError(f"{self.unsure!r} is a label, so it cannot mean that the teacher is unsure.")
        by_case: dict[str, str] = {}
        for label in self.labels:
            other = by_case.setdefault(label.casefold(), label)
            if other != label:
                raise UsageError(
                    f"The labels {other!r} and {label!r} differ only in case, by which answers are not told apart: "
                    "give one of them another name."
                )


@final
@dataclass(frozen=True, slots=True)
class _Ballot:
    """One usable answer."""

    label: str
    message: Mapping[str, Any]
    soft: Mapping[str, float]


@final
class Labeller:
    """Asks one teacher what items are; `begin` is the flow of one item."""

    def __init__(
        self,
        model: str,
        template: Template,
        settings: LabelSettings,
        read_media: ReadMedia | None = None,
        teacher: str | None = None,
    ) -> None:
        """`teacher` is its name in `stillhouse.toml`. Raises UsageError for a template that cannot be used."""
        self.model, self.template, self.settings = model, template, settings
        self._read_media, self._teacher = read_media, teacher or model
        template.check([*OF_ITEMS, *(("label_names",) if settings.labels else ())])
        self._schema = template.answers()
        self._names = {label.casefold(): label for label in settings.labels}
        if settings.unsure is not None:
            self._names[settings.unsure.casefold()] = settings.unsure

    def to_json(self) -> dict[str, Any]:
        """How it labels, for the lineage of what it makes."""
        settings = {**asdict(self.settings), "labels": [*self.settings.labels]}
        return {name: value for name, value in settings.items() if value}

    def begin(self, item: Item) -> Flow:
        """What is asked about an item, and the labelled item; raises Unusable where no answer can be used."""
        samples, together = self.settings.samples, self.settings.together
        messages = self._messages(item)
        if together and samples > 1:
            (reply,) = yield [self._question(messages, 0, {"n": samples})]
            found = [self._read(reply, choice) for choice in range(max(1, min(samples, len(reply.choices))))]
            missing = samples - len(found) if not reply.refused else 0
            if missing:
                more = yield [self._question(messages, 1 + number) for number in range(missing)]
                found.extend(self._read(each) for each in more)
        else:
            replies = yield [self._question(messages, number) for number in range(samples)]
            found = [self._read(reply) for reply in replies]
        for attempt in range(1, self.settings.retries + 1):
            again = [at for at, each in enumerate(found) if isinstance(each, _Misfit)]
            if not again:
                break
            asked = [self._corrected(messages, found[at], attempt * samples + at) for at in again]
            replies = yield asked
            for at, reply in zip(again, replies, strict=True):
                found[at] = self._read(reply)
        return self._labelled(item, found)

    def _messages(self, item: Item) -> list[dict[str, Any]]:
        self.template.check_item(item)
        names = ", ".join(self.settings.labels)
        messages = self.template.fill({**item_values(item), **({"label_names": names} if names else {})})
        return with_pictures(messages, pictures(item, self._read_media))

    def _question(
        self, messages: Sequence[Mapping[str, Any]], again: int, more: Mapping[str, Any] | None = None
    ) -> Question:
        told = {"logprobs": True, "top_logprobs": MOST_LIKELY} if self.settings.logprobs else {}
        said = {"model": self.model, "messages": list(messages), **told, **self.template.body()}
        body = orjson.dumps({**said, **self.settings.request, **(more or {})}, option=orjson.OPT_SORT_KEYS)
        return Question("", body, again)

    def _corrected(self, messages: Sequence[Mapping[str, Any]], wrong: Any, again: int) -> Question:
        """The same once more, with what was wrong about the answer."""
        said = [{"role": "assistant", "content": wrong.words}] if wrong.words else []
        asked = {"role": "user", "content": f"This answer cannot be used: {wrong.reason}. Answer again."}
        return self._question([*messages, *said, asked] if said else messages, again)

    def _read(self, reply: Reply, choice: int = 0) -> _Ballot | _Misfit | Unusable:
        """What an answer says; a misfit where asking again may help."""
        if reply.refused is not None:
            return Unusable(f"refused by the teacher: {reply.refused}")
        try:
            message = answer_of(reply, choice)
        except Unusable as error:
            return _Misfit(str(error), "")
        words = text_of(message)
        try:
            label = self._label(words) if self._schema is None else self._field(reply, choice)
        except Unusable as error:
            return _Misfit(str(error), words)
        return _Ballot(label, message, self._soft(reply.choices[choice], label))

    def _label(self, words: str) -> str:
        """The label that words name: alone, whatever its case and the marks around it, else as the only one there."""
        plain = words.strip(MARKS).casefold()
        if not self._names:
            return words.strip()
        if plain in self._names:
            return self._names[plain]
        said = f" {_spaced(plain)} "
        named = [label for key, label in self._names.items() if f" {_spaced(key)} " in said]
        if len(named) == 1:
            return named[0]
        what = "names several labels" if named else "is none of the labels"
        raise Unusable(f"no label: {words[:SHOWN]!r} {what}")

    def _field(self, reply: Reply, choice: int) -> str:
        """The label of a JSON answer, or the whole of it where there are no labels."""
        value = json_of(reply, choice)
        wrong = self._schema.mismatch(value) if self._schema is not None else None
        if wrong is not None:
            raise Unusable(f"does not fit the schema: {wrong.removeprefix('item').lstrip(': .')}")
        if not self._names:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        said = str(value.get(LABEL, "")).casefold()
        if said not in self._names:
            raise Unusable(f"no label: its field `{LABEL}` is {value.get(LABEL)!r}")
        return self._names[said]

    def _soft(self, choice: Mapping[str, Any], label: str) -> Mapping[str, float]:
        """How likely each label was held, where log-probabilities came that tell it."""
        labels = self.settings.labels
        if label not in labels or not choice.get("logprobs"):
            return {}
        call = {"messages": [{"role": "user", "content": "x"}], "choices": [choice]}
        row = parse_row(orjson.dumps(call), "", 0)
        if not isinstance(row, Row) or row.answer is None:
            return {}
        names = labels if self._schema is None else tuple(orjson.dumps(each).decode() for each in labels)
        form = (
            AnswerForm((Field(None, names),), (0,))
            if self._schema is None
            else AnswerForm((Field(LABEL, names),), (f'{{"{LABEL}": ', 0, "}"))
        )
        found = soft_labels(form, row.answer, row.soft)
        return {} if found is None else dict(zip(labels, map(float, found[0]), strict=True))

    def _labelled(self, item: Item, found: Sequence[_Ballot | _Misfit | Unusable]) -> Item:
        """The item with what most answers say; raises Unusable where there is none."""
        ballots = [each for each in found if isinstance(each, _Ballot)]
        if not ballots:
            first = found[0]
            raise Unusable(first.reason if isinstance(first, _Misfit) else str(first))
        soft = _mean([ballot.soft for ballot in ballots if ballot.soft])
        votes = Counter(ballot.label for ballot in ballots)
        winner = max(votes, key=lambda label: (votes[label], soft.get(label, 0.0)))  # of equals the first
        agreement = votes[winner] / len(found)  # what cannot be used agrees with nothing
        doubted = bool(soft) and soft.get(winner, 0.0) < self.settings.sure
        if not soft and self.settings.samples > 1 and self._names:
            soft = {label: votes[label] / len(ballots) for label in self.settings.labels if votes[label]}
        grade = agreement if self.settings.samples > 1 else soft.get(winner)
        unsure = winner == self.settings.unsure or agreement < self.settings.agree or doubted
        return self._made(item, next(each for each in ballots if each.label == winner), soft, grade, unsure)

    def _made(self, item: Item, ballot: _Ballot, soft: Mapping[str, float], grade: float | None, unsure: bool) -> Item:
        """The item with what was decided."""
        tags = tuple(tag for tag in item.facts.tags if tag != UNSURE)
        facts = replace(
            item.facts,
            grade=None if grade is None else round(grade, 6),
            tags=(*tags, UNSURE) if unsure else tags,
        )
        keeps_answer = bool(self._names) and (self._schema is None or unsure)
        teacher = credit(item, self._teacher, keeps_answer)
        source = Source(Method.LABELLED, item.source.origin, item.source.row, teacher, (item.id,))
        kept = {label: round(share, 6) for label, share in soft.items()}
        answer = item.answer if keeps_answer else None if unsure else dict(ballot.message)
        facts = facts if keeps_answer else replace(facts, model=self.model)
        if self._names:
            chosen = None if unsure else ballot.label
            return replace(item, label=chosen, answer=answer, soft=kept, facts=facts, source=source)
        return replace(item, answer=answer, facts=facts, source=source)


@final
@dataclass(frozen=True, slots=True)
class _Misfit:
    """An answer that cannot be used, and may be asked for again."""

    reason: str
    words: str


def _mean(soft: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of distributions over the same labels."""
    if not soft:
        return {}
    return {label: sum(each[label] for each in soft) / len(soft) for label in soft[0]}


def _spaced(text: str) -> str:
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text).split())
