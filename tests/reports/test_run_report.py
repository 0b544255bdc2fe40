"""The report tells a reader what they came for, needs nothing beside it, and looks right in a browser."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stillhouse.reports.record import RunRecord
from stillhouse.reports.run_report import render

VOID = {"meta", "br", "link", "img", "input", "hr"}
DARK = "--blink-settings=preferredColorScheme=0"


class Reader(HTMLParser):
    """Keeps visible text, the attributes that load things, and whether every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def read(page: str) -> tuple[Reader, str]:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader, " ".join(" ".join(reader.words).split()).replace("\u00a0", " ")


def test_it_answers_what_a_reader_asks_in_order(record: RunRecord):
    _, words = read(render(record))
    expected = [
        "Let the student answer 83 % of the calls",
        "It may answer 83 % of calls by itself with at most 2 % disagreement, guaranteed at 95 % confidence",
        "Agreement 92.4 %",
        "10.8 MB",
        "The candidates",
        "How to read this.",
        "How much it may answer by itself",
        "the teacher says pending_transfer , the student top_up_failed",
        "Whether its confidence can be trusted",
        "10,112 read: 10,003 used",
        "Labels of intent : 77",
        "And 57 more labels",
        "the teacher costs $2.50 per million tokens read",
        "stillhouse serve --model support-desk",
        "--out support-desk --seed 7",
        "3f" * 32,
    ]
    found = [words.find(part) for part in expected]
    assert -1 not in found, expected[found.index(-1)]
    assert found == sorted(found)


@pytest.mark.parametrize("kind", ["record", "hostile", "empty"])
def test_it_is_one_well_formed_file_that_loads_nothing(kind: str, request: pytest.FixtureRequest):
    page = render(request.getfixturevalue(kind))
    reader, _ = read(page)
    assert reader.loads == []
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "b>"}
    assert not re.search(r"url\(|@import|@font-face", page)


def test_hostile_texts_are_shown_as_they_are(hostile: RunRecord):
    page = render(hostile)
    _, words = read(page)
    assert '<script>alert("x")</script>' in words
    assert "{{ 7*7 }}" in words
    assert "\x00" not in page
    assert "\u202e" not in page
    assert "And 130 more labels" in words


def test_nothing_measured_is_said_not_drawn(empty: RunRecord):
    page = render(empty)
    _, words = read(page)
    assert "Nothing can be said yet" in words
    assert "There are no sealed calls to draw the curve from." in words
    assert "nan" not in words.lower().split()
    assert "<svg" not in page


def test_every_colour_pair_reads_well_in_light_dark_and_print(record: RunRecord):
    for palette in re.findall(r":root \{(.*?)\}", render(record), flags=re.DOTALL):
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,8})", palette))
        for ground in ("paper", "panel"):
            for ink in ("ink", "muted", "accent", "warn", "good"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground, palette)


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two hex colours."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


LOOK = """<script>
onload = () => {
  const page = frames[0].document, faults = [];
  const root = page.documentElement, wide = root.clientWidth;
  if (root.scrollWidth > wide) faults.push(`the page is ${root.scrollWidth} wide`);
  for (const svg of page.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts.forEach(([one, a], i) => {
      if (a.width && (a.left < frame.left - 1 || a.right > frame.right + 1 || a.bottom > frame.bottom + 1))
        faults.push(`"${one}" is cut`);
      for (const [other, b] of texts.slice(i + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 3) faults.push(`"${one}" covers "${other}"`);
      }
    });
  }
  for (const node of page.querySelectorAll('body *')) {
    if (node.closest('.scroll, svg')) continue;
    if (node.getBoundingClientRect().right > wide + 1) faults.push(`${node.outerHTML.slice(0, 60)} sticks out`);
  }
  document.title = JSON.stringify(faults);
};
</script>"""


@pytest.mark.parametrize("width", [360, 800, 1200])
@pytest.mark.parametrize("kind", ["record", "hostile", "crowded", "empty"])
def test_nothing_overlaps_or_sticks_out(
    kind: str, width: int, request: pytest.FixtureRequest, chromium: Callable[..., str], tmp_path: Path
):
    page = render(request.getfixturevalue(kind))
    holder = tmp_path / "holder.html"
    frame = f'<iframe style="width:{width}px;height:9000px;border:0" srcdoc="{escape(page)}"></iframe>'
    holder.write_text(f"<!doctype html><title></title>{LOOK}{frame}", encoding="utf-8")
    dom = chromium("--window-size=1400,900", "--dump-dom", holder.as_uri())
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    assert json.loads(unescape(title[1])) == []


@pytest.fixture
def crowded(record: RunRecord) -> RunRecord:
    """Ten rungs within a hair of each other, and a student that passed."""
    rungs = tuple(
        replace(
            record.rungs[4],
            name=f"encoder-{index}-wide",
            speed=replace(record.rungs[4].speed, latency_ms_p50=1.8 + index / 20),
            quality=replace(record.rungs[4].quality, agreement=0.92 + index / 2000),
            bytes=8_000_000 + 4_000_000 * index,
        )
        for index in range(10)
    )
    certificate = replace(record.certificate, verdict="non-inferior", agreement=0.99, interval=(0.986, 0.993))
    return replace(record, rungs=rungs, chosen="encoder-3-wide", certificate=certificate)


@pytest.mark.parametrize(("flags", "is_dark"), [((), False), ((DARK,), True)])
def test_it_follows_the_reader_into_the_dark(
    flags: tuple[str, ...], is_dark: bool, record: RunRecord, chromium: Callable[..., str], tmp_path: Path
):
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    page.write_text(render(record), encoding="utf-8")
    chromium(*flags, "--window-size=900,700", f"--screenshot={picture}", page.as_uri())
    assert (first_pixel(picture) < 100) == is_dark


def first_pixel(picture: Path) -> float:
    """Mean of red, green and blue of a PNG's upper left pixel."""
    data = picture.read_bytes()
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    rows = zlib.decompressobj().decompress(data[start + 4 : start + 4 + length], 4)
    return sum(rows[1:4]) / 3


def test_it_prints(record: RunRecord, chromium: Callable[..., str], tmp_path: Path):
    page, paper = tmp_path / "report.html", tmp_path / "report.pdf"
    page.write_text(render(record), encoding="utf-8")
    chromium(f"--print-to-pdf={paper}", "--no-pdf-header-footer", page.as_uri())
    assert paper.read_bytes().startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes())) <= 9
