from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from stillhouse.data.curation.lengths import Lengths, Unit, lengths
from stillhouse.data.items import Item, Kind, Media
from stillhouse.errors import UsageError


def chat(words: str, answer: str | None = None, **more: object) -> Item:
    said = {"role": "assistant", "content": answer} if answer is not None else None
    return Item(Kind.CHAT, ({"role": "user", "content": words},), said, **more)


def reasons(rows: list[Item], settings: Lengths) -> dict[int, str]:
    return dict(lengths(rows, settings).reasons)


def test_too_short_and_too_long_are_told_with_their_length():
    rows = [chat("hi"), chat("hello there", "yes"), chat("hello there", "a long answer"), chat("x" * 30)]
    settings = Lengths(least_asked=3, most_asked=20, least_answer=4)
    assert reasons(rows, settings) == {
        0: "too-short: 2 characters were asked",
        1: "too-short: 3 characters were answered",
        3: "too-long: 30 characters were asked",
    }


def test_what_is_not_there_is_not_measured():
    picture = Item(Kind.IMAGE, media=(Media("d", "image/png", "n", 1),))
    assert reasons([chat("hello"), chat("hello", ""), picture], Lengths(least_answer=5)) == {}
    assert reasons([chat("x" * 200_000, "y" * 200_000)], Lengths(most_asked=0, most_answer=0)) == {}


def test_words_and_tokens_are_counted(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    rows = [chat("ab ab"), chat("a")]
    assert reasons(rows, Lengths(unit=Unit.WORDS, least_asked=2)) == {1: "too-short: 1 words were asked"}
    counted = Lengths(unit=Unit.TOKENS, tokenizer=path, most_asked=4)
    assert reasons(rows, counted) == {0: "too-long: 5 tokens were asked"}


def test_what_means_nothing_is_refused(tmp_path):
    for wrong in (
        {"least_asked": -1},
        {"least_answer": 9, "most_answer": 3},
        {"unit": Unit.TOKENS},
        {"tokenizer": tmp_path},
    ):
        with pytest.raises(UsageError):
            Lengths(**wrong)
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    for path, told in ((tmp_path / "none", "no tokenizer"), (broken, "is no tokenizer")):
        with pytest.raises(UsageError, match=told):
            lengths([chat("a")], Lengths(unit=Unit.TOKENS, tokenizer=path))
