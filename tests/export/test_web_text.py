"""Characters are told to the page as Python and the tokenizer know them, and the page reads texts by that alike."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from itertools import accumulate
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

from stillhouse.export.web_runtime import TOKENIZERS, fetch_package
from stillhouse.export.web_text import character_tables, ngram_reader, tokenizer_reader
from stillhouse.models.load import load_encoder
from stillhouse.models.tokenizers import NgramReader, TokenizerReader
from tests.export import texts
from tests.models import tiny

PAGE = Path(__file__).resolve().parents[2] / "stillhouse" / "export" / "page"
SCRIPT = """
import { readFile } from "node:fs/promises";
import { Characters, openReader } from "./reader.js";
let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const { described, texts } = JSON.parse(input);
const characters = new Characters(described.characters);
const reader = await openReader(described.reader, characters, (name) => readFile(name));
process.stdout.write(JSON.stringify(texts.map((text) => [reader.read(text), characters.strip(text)])));
"""


def holds(table: list[int], character: str) -> bool:
    bounds = accumulate(table)
    return sum(bound <= ord(character) for bound in bounds) % 2 == 1


def read_by_the_page(folder: Path, reader: dict, given: list[str]) -> list:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node 20 or newer")
    shutil.copy(PAGE / "reader.js", folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(SCRIPT)
    asked = json.dumps({"described": {"characters": character_tables(), "reader": reader}, "texts": given})
    run = subprocess.run([node, "ask.js"], cwd=folder, input=asked, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def some(count: int) -> list[str]:
    return [*texts.HARD, *texts.at_random(count), *texts.every_character()]


def test_tables_say_what_python_says():
    tables = character_tables()
    for character in random.Random(0).sample([chr(point) for point in range(0x3000)], 500):
        assert holds(tables["word"], character) == bool(re.match(r"\w", character)), character
        assert holds(tables["space"], character) == character.isspace(), character
    assert holds(tables["unassigned"], "\u0378")
    assert not holds(tables["unassigned"], "\U0010ffff".replace("\U0010ffff", "\ue000"))


def test_n_grams_are_hashed_alike(tmp_path):
    given = some(2_000)
    found = read_by_the_page(tmp_path, ngram_reader(65_536, 400), given)
    expected = [
        [ids.tolist(), text.strip()] for ids, text in zip(NgramReader(65_536, 400).ids(given), given, strict=True)
    ]
    assert [text for text, one, other in zip(given, found, expected, strict=True) if one != other] == []


@pytest.mark.parametrize(("kind", "limit"), [("tiny", 24), ("uncased", 100_000), ("cased", 64)])
def test_bert_s_tokens_are_the_same(kind, limit, tmp_path):
    tokenizer = tiny.wordpiece() if kind == "tiny" else load_encoder("minilm").tokenizer
    if kind == "cased":
        from tokenizers.normalizers import BertNormalizer

        tokenizer.normalizer = BertNormalizer(lowercase=False, strip_accents=False, handle_chinese_chars=False)
    given = some(1_000)
    found = read_by_the_page(tmp_path, tokenizer_reader(tokenizer, limit, "end"), given)
    expected = [ids.tolist() for ids in TokenizerReader(tokenizer, limit).ids(given)]
    assert [text for text, (ids, _), other in zip(given, found, expected, strict=True) if ids != other] == []


def test_the_start_may_be_kept(tmp_path):
    reader = tokenizer_reader(tiny.wordpiece(), 4, "start")
    assert read_by_the_page(tmp_path, reader, ["where is my refund now"])[0][0] == [2, 9, 10, 3]


def test_the_tokenizer_is_left_as_it_was():
    tokenizer = tiny.wordpiece()
    tokenizer.enable_truncation(5)
    before = tokenizer.to_str()
    tokenizer_reader(tokenizer, 9, "end")
    assert tokenizer.to_str() == before


def test_byte_pairs_are_read_by_the_library_to_the_same_ids(npm_home, tmp_path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(["where is my parcel", "refund the money please"] * 9, BpeTrainer(vocab_size=300))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <s>", special_tokens=[("<s>", 0)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(fetch_package(TOKENIZERS, npm_home) / "tokenizers.js", tmp_path)
    given = [*texts.HARD, *texts.at_random(300)]
    reader = tokenizer_reader(tokenizer, 40, "end")
    assert (reader["kind"], reader["before"], reader["after"]) == ("library", [], [0])
    found = read_by_the_page(tmp_path, reader, given)
    expected = [ids.tolist() for ids in TokenizerReader(tokenizer, 40).ids(given)]
    assert [text for text, (ids, _), other in zip(given, found, expected, strict=True) if ids != other] == []


def test_other_tokenizers_are_left_to_the_library():
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    reader = tokenizer_reader(tokenizer, 7, "end")
    assert reader == {
        "kind": "library",
        "before": [],
        "after": [],
        "limit": 7,
        "keep": "end",
        "tokenizer": "tokenizer.json",
    }
