"""Writes ARCHITECTURE.md, docs/cli.md, docs/objectives.md and the tables of how-to-choose.md; `--check` compares."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evidence

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "stillhouse"
BY_HAND = "<!-- Written by `make docs`; change the code it is taken from instead. -->"


def main() -> int:
    """Write every generated page, or with `--check` compare; returns 1 when a page is stale."""
    pages = {
        "ARCHITECTURE.md": architecture(),
        "docs/cli.md": commands(),
        "docs/objectives.md": objectives(),
        "docs/how-to-choose.md": evidence.fill((ROOT / "docs" / "how-to-choose.md").read_text(encoding="utf-8")),
    }
    stale = [name for name, text in pages.items() if not same(ROOT / name, text)]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is stale: run `make docs`")
        return int(bool(stale))
    for name in stale:
        (ROOT / name).write_text(pages[name], encoding="utf-8")
        print(f"wrote {name}")
    return 0


def same(path: Path, text: str) -> bool:
    """Whether a file holds exactly this text."""
    return path.is_file() and path.read_text(encoding="utf-8") == text


# ---------------------------------------------------------------- ARCHITECTURE.md


def architecture() -> str:
    """The layers that exist, highest first, and every module with the first line of its docstring."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["stillhouse"]["layers"]
    present = [
        (rank, layer["name"], [part for part in layer["parts"] if exists(part)]) for rank, layer in ranks(layers)
    ]
    drawn = [f"{rank} {name:9} {'  '.join(parts)}" for rank, name, parts in present if parts]
    lines = [
        "# Architecture",
        "",
        BY_HAND,
        "",
        "A file imports its own folder and the layers below it: never a neighbour in its layer, never upward.",
        "Where two neighbours must meet, a layer above joins them. `tests/structure` holds this and the sizes.",
        "",
        "```text",
        *drawn,
        "```",
    ]
    for rank, name, parts in present:
        if parts:
            lines += ["", f"## {rank} {name}", ""]
            lines += [line for part in parts for line in describe(part)]
    return "\n".join(lines) + "\n"


def ranks(layers: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    """The layers with their height, highest first."""
    return list(reversed(list(enumerate(layers))))


def exists(part: str) -> bool:
    """Whether a layer's part is there as a module or as a folder with modules."""
    return (PACKAGE / f"{part}.py").is_file() or (PACKAGE / part / "__init__.py").is_file()


def describe(part: str) -> Iterator[str]:
    """The lines about one part: a module of the root, or a folder and its modules."""
    single = PACKAGE / f"{part}.py"
    if single.is_file():
        yield f"- `{single.name}`: {first_line(single)}"
        return
    folder = PACKAGE / part
    yield f"- **`{part}/`**: {first_line(folder / '__init__.py')}"
    for file in sorted(folder.rglob("*.py")):
        if file.name != "__init__.py":
            yield f"  - `{file.relative_to(folder).as_posix()}`: {first_line(file)}"


def first_line(file: Path) -> str:
    """What a module says it is for."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return (docstring or "").split("\n", 1)[0]


# ---------------------------------------------------------------- docs/cli.md


def commands() -> str:
    """Every verb with its arguments, options and defaults."""
    from stillhouse.cli.main import VERBS, load

    lines = [
        "# The terminal",
        "",
        BY_HAND,
        "",
        "Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. With `--json` one JSON object is written on",
        'standard output (on failure `{"error": {"type": ..., "message": ...}}`); progress goes to standard error.',
        "`STILLHOUSE_HOME` names the home folder (default `.stillhouse`); `STILLHOUSE_DEBUG=1` shows tracebacks.",
        "",
    ]
    lines += [f"- [`{verb}`](#stillhouse-{verb}): {summary}" for verb, summary in VERBS.items()]
    for verb in VERBS:
        for name, each in leaves(verb, load(verb)):
            lines += ["", *command(name, each)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- docs/objectives.md


def objectives() -> str:
    """Every objective of the catalogue with what its docstring says."""
    from stillhouse.objectives.catalog import CATALOG

    lines = [
        "# Objectives",
        "",
        BY_HAND,
        "",
        "What a student can be asked to match. Objectives add and scale: `0.8 * ForwardKL(2) + 0.2 * CrossEntropy()`;",
        "each term is averaged over what it counts. *Needs* is what the teacher must tell. The name in brackets is the",
        "one that recipes use. [Papers](papers.md) has all sources, [The library](library.md) shows them at work.",
    ]
    family = ""
    for name, (kind, _) in CATALOG.items():
        module = kind.__module__.rsplit(".", 1)[-1]
        if module != family:
            family = module
            lines += [
                "",
                f"## {module.replace('_', ' ').capitalize()}",
                "",
                opening(PACKAGE / "objectives" / f"{module}.py"),
            ]
        needs = needed(kind)
        lines += ["", f"### `{kind.__name__}` ({name})", "", *(inspect.getdoc(kind) or "").splitlines()]
        lines += ["", f"Settings: {settings_of(kind)}. Needs: {needs}."]
    return "\n".join(lines) + "\n"


def opening(file: Path) -> str:
    """The first paragraph of a module's docstring."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n", 1)[0]


def settings_of(kind: Any) -> str:
    """What an objective can be told, with the defaults."""
    told = [str(part) for part in inspect.signature(kind).parameters.values()]
    plain = [re.sub(r": .*?(?= = |$)", "", part) for part in told]
    return ", ".join(f"`{part}`" for part in plain) if plain else "none"


def needed(kind: Any) -> str:
    """What an objective needs, by its defaults; a layer map is made up where it takes one."""
    required = [part for part in inspect.signature(kind).parameters.values() if part.default is part.empty]
    made = kind(*[{0: 0} for _ in required])
    return ", ".join(sorted(made.needs))


def leaves(verb: str, loaded: Any) -> Iterator[tuple[str, Any]]:
    """A verb, and the verbs inside of it where it has any."""
    yield verb, loaded
    for name, each in getattr(loaded, "commands", {}).items():
        yield from leaves(f"{verb} {name}", each)


def command(verb: str, loaded: Any) -> Iterator[str]:
    """The section of one verb."""
    shown = [parameter for parameter in loaded.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    yield f"## `stillhouse {verb}`"
    yield ""
    inside = list(getattr(loaded, "commands", {}))
    rest = ["VERB ..."] if inside else [*(spelt(argument) for argument in arguments), "[OPTIONS]"]
    yield " ".join(["    stillhouse", verb, *rest])
    yield ""
    yield from (loaded.help or "").strip().splitlines()
    yield ""
    if inside:
        yield "Verbs: " + ", ".join(f"[`{name}`](#stillhouse-{verb}-{name})" for name in inside) + "."
        return
    yield "| argument or option | default | meaning |"
    yield "|---|---|---|"
    for parameter in shown:
        yield f"| `{spelt(parameter)}` | {default(parameter)} | {cell(parameter.help or '')} |"


def spelt(parameter: Any) -> str:
    """A parameter as it is typed."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return f"{name}..." if parameter.nargs == -1 and not name.endswith("...") else name
    names = " / ".join(["/".join(parameter.opts), *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.name.upper().replace('_', '-')}"


def default(parameter: Any) -> str:
    """A parameter's default as a table cell."""
    value: Any = parameter.default
    if parameter.required:
        return "required"
    if value is None or value is False or value == () or callable(value):
        return ""
    return f"`{getattr(value, 'value', value)}`"


def cell(text: str) -> str:
    """Text that fits one cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
