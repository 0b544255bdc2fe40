from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stillhouse.inference.words import Words, held_back
from stillhouse.wire.choices import Token


def cut(content: bytes, sizes: list[int]) -> list[Token]:
    """The same bytes in tokens of these sizes, one after the other."""
    tokens: list[Token] = []
    while content:
        size = sizes[len(tokens) % len(sizes)]
        tokens.append(Token(content[:size], float(-len(tokens))))
        content = content[size:]
    return tokens


def written(words: Words, tokens: list[Token]) -> tuple[str, list[Token], list[str]]:
    """The text, its tokens, and the pieces it came in."""
    pieces = []
    for token in tokens:
        pieces.append(words.add(token))
        if words.is_stopped:
            break
    else:
        pieces.append(words.end())
    texts = [piece.text for piece in pieces]
    return "".join(texts), [token for piece in pieces for token in piece.tokens], texts


@given(st.text(max_size=30), st.lists(st.integers(1, 4), min_size=1), st.lists(st.text(min_size=1), max_size=4))
def test_an_answer_is_cut_at_its_first_stop_however_it_is_tokenized(text, sizes, stops):
    tokens = cut(text.encode(), sizes)
    found, passed, texts = written(Words(stops), tokens)
    ends = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    assert found == (text[: min(ends)] if ends else text)
    assert all("\ufffd" not in piece for piece in texts) or "\ufffd" in text
    assert passed == tokens[: len(passed)]
    assert b"".join(token.content for token in passed).startswith(found.encode())


def test_what_may_become_a_stop_is_held_back():
    words = Words(["STOP"])
    assert words.add(Token(b"go ST", 0)).text == "go "
    assert words.add(Token(b"OR", 0)).text == "STOR"
    assert words.add(Token(b" STO", 0)).text == " "
    piece = words.add(Token(b"P more", 0))
    assert (piece.text, words.is_stopped) == ("", True)


def test_a_character_comes_when_it_is_whole():
    grin = "🙂".encode()
    words = Words()
    assert [words.add(Token(bytes([byte]), 0)).text for byte in grin] == ["", "", "", "🙂"]
    assert words.add(Token(grin[:2], 0)).text == ""
    assert words.end().text == ""


def test_bytes_that_are_no_text_are_replaced():
    words = Words()
    assert words.add(Token(b"\xffa", 0)).text == "\ufffda"


def test_the_space_that_some_tokenizers_put_first_is_dropped_once():
    assert written(Words(drops_space=True), [Token(b" a", 0), Token(b" b", 0)])[0] == "a b"
    assert written(Words(drops_space=True), [Token(b"a", 0), Token(b" b", 0)])[0] == "a b"
    assert written(Words(), [Token(b" a", 0)])[0] == " a"


def test_how_much_is_held_back():
    assert held_back("abc", ["cd", "bcd"]) == 2
    assert held_back("abc", ["abc"]) == 0
    assert held_back("", ["a"]) == 0
    assert held_back("abc", []) == 0
