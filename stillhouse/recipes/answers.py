"""What a recipe's rows lack, answers or reasons: asked of its teacher behind an API, kept, and put into the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import orjson

from stillhouse import settings
from stillhouse.artifacts import hash_bytes, hash_json
from stillhouse.errors import TeacherError, UsageError
from stillhouse.generation.book import Book, book_place
from stillhouse.generation.desk import Desk
from stillhouse.generation.limits import Limits
from stillhouse.generation.questions import Question, Reply
from stillhouse.recipes.endpoint import ApiSection
from stillhouse.recipes.read_rows import Rows, read_rows
from stillhouse.recipes.sections import TaskName
from stillhouse.recipes.training import TrainRecipe
from stillhouse.tasks.explained import asked_twice
from stillhouse.teachers.api import Endpoint
from stillhouse.teachers.asking import Patience
from stillhouse.training.events import Listener, Note, Progress, StageDone, StageStarted

__all__ = ["Asked", "answered_rows", "ask_missing", "kept_answers", "questions"]

LIMITS = Limits()
"""Nobody waits for these answers, so a teacher in trouble is given time."""
CONNECT = Patience(connect=10.0)
CUT_OFF = ("length", "content_filter")
MOST_LIKELY = 20
"""Of each token of a label so many alternatives are asked for: as many as OpenAI gives."""
NAMED = 5
"""So many rows are named of those that cannot be used."""


@dataclass(frozen=True)
class Asked:
    """What asking left on the disk."""

    file: Path
    rows: int
    """Rows that had no answer."""
    asked: int
    """Questions that went to the teacher this time."""


class _Unusable(Exception):
    """Why an answer cannot be learnt."""


def questions(recipe: TrainRecipe, rows: Rows) -> dict[int, bytes]:
    """The request about every row that has no answer, or of rationales no reasons, by number of row."""
    api = recipe.teacher.api
    if api is None:
        return {}
    if recipe.task is TaskName.CLASSIFICATION:
        known = rows.answers or [None] * len(rows.inputs)
        return {at: _label_question(api, rows, text) for at, text in enumerate(rows.inputs) if known[at] is None}
    lacks = (lambda row: _unexplained(api, row)) if recipe.task is TaskName.RATIONALE else _unanswered
    asked = ((at, row, lacks(row)) for at, row in enumerate(rows.inputs))
    return {
        at: _body(api, turns, {} if row.get("tools") is None else {"tools": row["tools"]})
        for at, row, turns in asked
        if turns is not None
    }


def ask_missing(recipe: TrainRecipe, rows: Rows, home: Path, tell: Listener) -> Asked:
    """Ask the teacher about every row without an answer; what was asked before is not asked again.

    Each answer is on the disk as soon as it came, so that a kill costs those under way only. Raises TeacherError where
    some rows got none.
    """
    api = recipe.teacher.api
    assert api is not None
    started, desk = time.monotonic(), _desk(api, home)
    every = questions(recipe, rows)
    wanted = [Question(key, body) for key, body in {hash_bytes(body): body for body in every.values()}.items()]
    asked = [question for question in wanted if desk.find(question) is None]
    tell(StageStarted("ask", f"{api.model} answers"))
    done = before = len(wanted) - len(asked)

    def keep(reply: Reply) -> None:
        nonlocal done
        done += 1
        tell(Progress("ask", done, before + len(asked)))

    unheard: Mapping[str, str] = {}
    if asked:
        secret = None if api.key_env is None else settings.secret(api.key_env)
        unheard = _desk(api, home, secret).ask(asked, keep).unheard
    if unheard:
        raise TeacherError(
            f"{len(unheard):,} of {len(asked):,} questions got no answer, the first for this reason: "
            f"{next(iter(unheard.values()))} The same command asks for those again, and only for those."
        )
    summary = f"{len(every):,} rows, {len(asked):,} questions asked"
    tell(StageDone("ask", summary, not asked, time.monotonic() - started))
    return Asked(desk.book.path, len(every), len(asked))


def answered_rows(recipe: TrainRecipe, home: Path, tell: Listener | None = None) -> Rows:
    """The rows of a recipe with the answers of its teacher; raises UsageError where some were not asked for yet.

    Rows whose answer cannot be used (it was refused, or cut off, or is no label) are left out, and those whose reasons
    cannot are without reasons; `tell` hears of both.
    """
    rows = read_rows(recipe.data, recipe.task, recipe.seed)
    wanted = questions(recipe, rows)
    if recipe.teacher.api is None or not wanted:
        return rows
    said = _said(recipe.teacher.api, home, wanted)
    missing = len(wanted) - len(said)
    if missing:
        raise UsageError(
            f"{missing:,} rows have no answer yet. Ask for them first: stillhouse label RECIPE (or take `stillhouse "
            "run`, which does both)."
        )
    found, useless = _filled(recipe, rows, said)
    explaining = recipe.task is TaskName.RATIONALE
    if useless and tell is not None:
        what = "learn without reasons" if explaining else "are left out"
        some = "; ".join(f"row {row}: {reason}" for row, reason in list(useless.items())[:NAMED])
        tell(Note(f"{len(useless):,} rows {what}, for what was answered cannot be used ({some}).", warning=True))
    digest = hash_json([rows.hash, list(said.values())])
    return _without(replace(found, hash=digest), set() if explaining else set(useless))


def _filled(recipe: TrainRecipe, rows: Rows, said: Mapping[int, Mapping[str, Any]]) -> tuple[Rows, dict[int, str]]:
    """The rows with what was said of them, and why some of it cannot be used."""
    api, useless = recipe.teacher.api, dict[int, str]()
    inputs, answers = list(rows.inputs), list(rows.answers or [None] * len(rows.inputs))
    for row, choice in said.items():
        try:
            if recipe.task is TaskName.CLASSIFICATION and api is not None:
                answers[row] = _label(choice, api.known_labels(rows.answers))
            elif recipe.task is TaskName.RATIONALE:
                inputs[row] = {**inputs[row], "rationale": _words(_message(choice))}
            else:
                inputs[row] = _with_answer(inputs[row], _message(choice))
        except _Unusable as error:
            useless[row] = str(error)
    known = answers if recipe.task is TaskName.CLASSIFICATION else None
    return replace(rows, inputs=inputs, answers=known), useless


def kept_answers(recipe: TrainRecipe, rows: Rows, home: Path) -> dict[int, Mapping[str, Any]]:
    """What the teacher answered about the texts of classification rows, as it came, by number of row."""
    api = recipe.teacher.api
    if api is None:
        return {}
    return _said(api, home, {at: _label_question(api, rows, text) for at, text in enumerate(rows.inputs)})


def _desk(api: ApiSection, home: Path, key: str | None = None) -> Desk:
    book = Book(book_place(home, api.url, api.model))
    return Desk(Endpoint(api.url, key, CONNECT), book, replace(LIMITS, at_once=api.at_once))


def _said(api: ApiSection, home: Path, wanted: Mapping[int, bytes]) -> dict[int, Mapping[str, Any]]:
    """What was answered to questions, by number of row: the first choice as it came, or `refused` with the reason."""
    desk = _desk(api, home)
    found = {at: desk.find(Question(str(at), body)) for at, body in wanted.items()}
    return {
        at: reply.choices[0] if reply.refused is None else {"refused": reply.refused}
        for at, reply in found.items()
        if reply is not None
    }


def _body(api: ApiSection, messages: Any, more: Mapping[str, Any]) -> bytes:
    """The body of a request; the same question has the same bytes."""
    body = {"model": api.model, "messages": messages, **more, **api.request}
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def _label_question(api: ApiSection, rows: Rows, text: str) -> bytes:
    labels = ", ".join(api.known_labels(rows.answers))
    words = api.ask.replace("{labels}", labels).replace("{text}", text)
    told = {} if "logprobs" in api.request else {"logprobs": True, "top_logprobs": MOST_LIKELY}
    return _body(api, [{"role": "user", "content": words}], told)


def _unanswered(row: Any) -> Any:
    """The messages that a row ends with no answer to; None where it has one, or asks nothing."""
    if "messages" in row:
        turns = row["messages"]
        waits = isinstance(turns, Sequence) and turns and _role(turns[-1]) != "assistant"
        return list(cast("Sequence[Any]", turns)) if waits else None
    if "prompt" not in row or row.get("completion") is not None:
        return None
    prompt = row["prompt"]
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def _with_answer(row: Mapping[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """A row with the answer that it lacked."""
    if "messages" in row:
        return {**row, "messages": [*row["messages"], message]}
    if not isinstance(row["prompt"], str):
        return {**row, "completion": [message]}
    return {**row, "completion": _words(message)}


def _unexplained(api: ApiSection, row: Any) -> Any:
    """The messages that ask for the reasons of a row's answer; None where it has some."""
    if row.get("rationale"):
        return None
    asked = asked_twice({**row, "rationale": None}, ("", ""))[0]
    prompt, answer = asked["prompt"], asked["completion"]
    if isinstance(prompt, str):
        prompt, answer = [{"role": "user", "content": prompt}], [{"role": "assistant", "content": answer}]
    return [*prompt, *answer, {"role": "user", "content": api.reasons}]


def _words(message: Mapping[str, Any]) -> str:
    """What a message says in words."""
    if not message.get("content"):
        raise _Unusable("it calls a tool, and words were asked for")
    return str(message["content"])


def _role(message: Any) -> Any:
    return cast("Mapping[str, Any]", message).get("role") if isinstance(message, Mapping) else None


def _message(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a kept answer."""
    if "refused" in choice:
        raise _Unusable(str(choice["refused"]))
    message: Any = choice.get("message")
    if choice.get("finish_reason") in CUT_OFF:
        raise _Unusable(f"it was cut off (finish_reason {choice['finish_reason']})")
    if not isinstance(message, Mapping):
        raise _Unusable("it holds no message")
    said = cast("Mapping[str, Any]", message)
    if said.get("refusal"):
        raise _Unusable("it is a refusal")
    found = {name: said[name] for name in ("content", "tool_calls") if said.get(name)}
    if not found:
        raise _Unusable("it is empty")
    return {"role": "assistant", "content": None, **found}


def _label(choice: Mapping[str, Any], labels: Sequence[str]) -> str:
    """The label that a kept answer names, whatever its case and the marks around it."""
    said = str(_message(choice).get("content") or "")
    plain = said.strip().strip("\"'`.").casefold()
    for label in labels:
        if plain == label.casefold():
            return label
    raise _Unusable(f"{said[:40]!r} is none of the labels")


def _without(rows: Rows, useless: set[int]) -> Rows:
    """The rows but some, numbered anew."""
    if not useless:
        return rows
    kept = [row for row in range(len(rows.inputs)) if row not in useless]
    number = {row: at for at, row in enumerate(kept)}
    parts = [tuple(number[row] for row in part if row in number) for part in (rows.train, rows.selection, rows.test)]
    if not all(parts):
        raise UsageError("No row of a part (train, selection or test) has an answer that can be used.")
    answers = None if rows.answers is None else [rows.answers[row] for row in kept]
    train, selection, test = parts
    inputs = [rows.inputs[row] for row in kept]
    return replace(rows, inputs=inputs, answers=answers, train=train, selection=selection, test=test)
