"""Ollama's Modelfile: where the weights are, how a conversation is written for the model, and where answers end.

Ollama writes prompts by a template of Go, models bring one of Jinja. Where a model's template gives each role a fixed
text before and after its message, the same is said in Go; that it writes the same prompts is checked on examples, and
where it does not, no template is written, and Ollama looks for one of its own that resembles the model's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stillhouse.errors import UsageError
from stillhouse.export.subject import Kind, Subject

__all__ = ["Turns", "go_template", "read_template", "read_turns", "write_modelfile", "write_prompt"]

ROLES = ("system", "user", "assistant")
_MARK = "«{}»"
"""What stands for a message while a template is looked at; no template says it by itself."""
_EXAMPLES: tuple[tuple[str, ...], ...] = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)


@final
@dataclass(frozen=True)
class Turns:
    """How conversations are written: a fixed text before and after each role's messages, and before the answer."""

    alone: str
    """What begins a conversation that has no system message."""
    before: Mapping[str, str]
    after: Mapping[str, str]
    answer: str

    def write(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt of a conversation."""
        start = "" if messages[0]["role"] == "system" else self.alone
        parts = [self.before[one["role"]] + one["content"] + self.after[one["role"]] for one in messages]
        return start + "".join(parts) + self.answer


def read_template(folder: Path) -> str | None:
    """The Jinja chat template that lies beside a tokenizer; None where there is none."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    told = _tokens(folder).get("chat_template")
    if isinstance(told, list):
        told = next((one["template"] for one in told if one.get("name") == "default"), None)
    return told or None


def _tokens(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def write_prompt(
    template: str, messages: Sequence[Mapping[str, str]], tokens: Mapping[str, str], answer: bool = True
) -> str | None:
    """What a Jinja template makes of a conversation, with `answer` up to where that begins; None where it refuses."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template).render(messages=messages, add_generation_prompt=answer, **tokens)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError):
        return None


def _refuse(message: str) -> None:
    raise TemplateError(message)


def read_turns(template: str, tokens: Mapping[str, str]) -> Turns | None:
    """A template's fixed texts; None where it has none such, or writes some example otherwise than they would.

    Each longer conversation must begin as the shorter did; what it adds holds one message, and the texts around it.
    """
    marks = [{"role": role, "content": _MARK.format(at)} for at, role in enumerate(("user", "assistant", "user"))]
    grown = [write_prompt(template, marks[:count], tokens, answer=False) for count in (1, 2, 3)]
    asked = write_prompt(template, marks[:1], tokens)
    system = {"role": "system", "content": _MARK.format(9)}
    told = write_prompt(template, [system, marks[0]], tokens, answer=False)
    if asked is None or any(one is None for one in grown):
        return None
    one, two, three = (text or "" for text in grown)
    if not (asked.startswith(one) and two.startswith(one) and three.startswith(two)):
        return None
    assistant, user = _around(two[len(one) :], 1), _around(three[len(two) :], 2)
    if assistant is None or user is None or not one.endswith(user[0] + _MARK.format(0) + user[1]):
        return None
    alone = one.removesuffix(user[0] + _MARK.format(0) + user[1])
    before, after = {"user": user[0], "assistant": assistant[0]}, {"user": user[1], "assistant": assistant[1]}
    first = _around((told or "").removesuffix(user[0] + _MARK.format(0) + user[1]), 9)
    if first is not None and _MARK.format(0) not in "".join(first):
        before["system"], after["system"] = first
    turns = Turns(alone, before, after, asked.removeprefix(one))
    return turns if _agrees(turns, template, tokens) else None


def _around(text: str, mark: int) -> tuple[str, str] | None:
    """What stands before and after a message that is written once."""
    pieces = text.split(_MARK.format(mark))
    return (pieces[0], pieces[1]) if len(pieces) == 2 else None


def _agrees(turns: Turns, template: str, tokens: Mapping[str, str]) -> bool:
    """Whether both write the examples alike, or the template refuses what the turns cannot write."""
    for roles in _EXAMPLES:
        messages = [{"role": role, "content": f"Say {at} {role}s\n\nplease"} for at, role in enumerate(roles)]
        written = write_prompt(template, messages, tokens)
        if set(roles) <= set(turns.before) and written != turns.write(messages):
            return False
    return True


def go_template(turns: Turns, begins: str) -> str:
    """The turns as Ollama writes them; `begins` is the token that llama.cpp puts before every prompt by itself."""
    alone = _go(turns.alone.removeprefix(begins))
    written = [f'{{{{- if ne (index .Messages 0).Role "system" }}}}{alone}{{{{- end }}}}'] if alone else []
    written.append("{{- range .Messages }}")
    for at, role in enumerate(role for role in ROLES if role in turns.before):
        before = turns.before[role].removeprefix(begins if role == "system" else "")
        written.append(f'{{{{- {"else if" if at else "if"} eq .Role "{role}" }}}}')
        written.append(f"{_go(before)}{{{{ .Content }}}}{_go(turns.after[role])}")
    return "".join((*written, "{{- end }}{{- end }}", _go(turns.answer)))


def _go(text: str) -> str:
    """Text as Go's templates take it: as a string inside of braces, so that no space or brace of it is lost."""
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}" if text else ""


def write_modelfile(
    path: Path, model: str, subject: Subject, template: str | None, facts: Mapping[str, Any]
) -> list[str]:
    """Write the Modelfile for `model`, and say what Ollama has to find out by itself."""
    lines, notes = [f"FROM ./{model}"], []
    if subject.kind is Kind.LANGUAGE_MODEL:
        tokens = facts["tokenizer.ggml.tokens"]
        named = {
            f"{role}_token": str(tokens[facts[key]])
            for role in ("bos", "eos", "pad")
            if (key := f"tokenizer.ggml.{'padding' if role == 'pad' else role}_token_id") in facts
        }
        begins = named.get("bos_token", "") if facts.get("tokenizer.ggml.add_bos_token") else ""
        turns = read_turns(template, named) if template else None
        if turns is not None:
            lines.append(f'TEMPLATE """{go_template(turns, begins)}"""')
        elif template:
            notes.append("The chat template has no fixed text for each role: Ollama chooses one of its own like it.")
        else:
            lines.append('TEMPLATE """{{ .Prompt }}"""')
            notes.append("There is no chat template: Ollama and llama.cpp complete the text that they are given.")
        ends = [facts.get(f"tokenizer.ggml.{role}_token_id") for role in ("eos", "eot")]
        lines += [f"PARAMETER stop {json.dumps(tokens[id], ensure_ascii=False)}" for id in ends if id is not None]
        lines.append(f"PARAMETER num_ctx {facts[f'{_name_in(facts)}.context_length']}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return notes


def _name_in(facts: Mapping[str, Any]) -> str:
    return next(key for key in facts if key.endswith(".context_length")).removesuffix(".context_length")
