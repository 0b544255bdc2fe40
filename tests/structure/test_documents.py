"""Documents that cannot lie: generated pages are current, links lead somewhere, shown commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.cli.main import VERBS, load
from tests.structure.source import ROOT, modules

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
every_verb = pytest.mark.parametrize("verb", VERBS)


def leaves(command):
    """A command, or those inside of one that has verbs of its own."""
    inside = getattr(command, "commands", None)
    return [leaf for each in inside.values() for leaf in leaves(each)] if inside else [command]


def test_generated_pages_are_current():
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@every_verb
def test_a_verb_and_its_options_are_described(verb):
    for command in leaves(load(verb)):
        silent = [parameter.name for parameter in command.params if not parameter.help]
        assert command.help, f"give the function of {verb} {command.name} a docstring"
        assert silent == [], "give them a help text"


@every_verb
def test_a_verb_speaks_json(verb):
    for command in leaves(load(verb)):
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, command.name


@every_page
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not leads_somewhere(page, target)] == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a relative link names a file that is there and, after `#`, a heading it has."""
    name, _, anchor = target.partition("#")
    file = (page.parent / name).resolve() if name else page
    return file.exists() and (not anchor or anchor in anchors(file))


def anchors(file: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def shown_commands(page: Path) -> Iterator[list[str]]:
    """The words of every `stillhouse` command in the page's shell blocks."""
    for block in re.findall(r"^```(?:bash|sh|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and words[0] == "stillhouse":
                yield words[1:]


@every_page
def test_shown_commands_exist(page):
    for words in shown_commands(page):
        if words[0].startswith("-"):
            assert words[0] in ("--help", "-h", "--version")
            continue
        assert words[0] in VERBS, f"`stillhouse {words[0]}` is no verb"
        command, rest = load(words[0]), words[1:]
        while inside := getattr(command, "commands", None):
            assert rest, f"`stillhouse {' '.join(words)}` names no verb of {', '.join(inside)}"
            assert rest[0] in inside, f"`stillhouse {' '.join(words)}`: {rest[0]} is none of {', '.join(inside)}"
            command, rest = inside[rest[0]], rest[1:]
        valid = {"--help", "-h"}.union(*(p.opts + p.secondary_opts for p in command.params))
        used = {word.split("=")[0] for word in words[1:] if word.startswith("-")}
        assert used <= valid, f"stillhouse {' '.join(words)}"


def test_every_paper_that_the_code_names_is_on_the_page_of_papers_and_no_other():
    named = {found for module in modules() for found in re.findall(r"arxiv\.org/abs/([\d.]+\d)", module.text)}
    listed = set(re.findall(r"arxiv\.org/abs/([\d.]+\d)", (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")))
    assert {"not on the page": named - listed, "not in the code": listed - named} == {
        "not on the page": set(),
        "not in the code": set(),
    }


def test_what_the_page_of_papers_points_at_is_there():
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    names = {name for cell in re.findall(r"\| ([^|]+) \|$", page, re.M) for name in re.findall(r"`([^`]+)`", cell)}
    code = "\n".join(module.text for module in modules())
    files = [name for name in names if "/" in name and not (ROOT / "stillhouse" / name).is_file()]
    things = [
        name for name in names if "/" not in name and not re.search(rf"\b(class|def) {name.split('(')[0]}\b", code)
    ]
    assert files + things == []
