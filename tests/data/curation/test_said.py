from __future__ import annotations

from dataclasses import replace

from stillhouse.data.curation.said import asked, frame, hash64, label_of, rank, whole
from stillhouse.data.items import Facts, Item, Kind, Media


def chat(*messages: tuple[str, str], answer: str | None = None, **more: object) -> Item:
    said = tuple({"role": role, "content": content} for role, content in messages)
    return Item(Kind.CHAT, said, {"role": "assistant", "content": answer} if answer else None, **more)


def test_asked_joins_what_the_user_said():
    assert asked(chat(("system", "be kind"), ("user", "one"), ("assistant", "x"), ("user", "two"))) == "one\ntwo"


def test_the_frame_is_instructions_files_and_turns():
    one = chat(("system", "be kind"), ("user", "hello"))
    assert frame(one) == frame(chat(("system", " Be KIND"), ("user", "other")))
    assert frame(one) != frame(chat(("user", "hello")))
    assert frame(one) != frame(chat(("system", "be kind"), ("user", "hello"), ("user", "again")))
    assert frame(one) != frame(replace(one, media=(Media("d", "image/png", "n", 1),)))


def test_whole_sees_everything_but_case_and_space():
    one = chat(("user", "Where is it?"), answer="Here.", label="a")
    assert whole(one) == whole(chat(("user", "where  is IT?"), answer="here.", label="a"))
    assert whole(one) == whole(replace(one, facts=Facts(model="m")))
    for other in (
        replace(one, label="b"),
        replace(one, answer=None),
        replace(one, truth="a"),
        replace(one, kind=Kind.TEXT),
    ):
        assert whole(one) != whole(other)
    call = {"role": "assistant", "content": "Here.", "tool_calls": [{"id": "1"}]}
    assert whole(one) != whole(replace(one, answer=call))
    picture = {
        "role": "user",
        "content": [{"type": "text", "text": "Where is it?"}, {"type": "image_url", "image_url": {"url": "u"}}],
    }
    assert whole(one) != whole(replace(one, messages=(picture,)))


def test_what_is_known_ranks():
    bare = chat(("user", "q"))
    answered = replace(bare, label="a")
    graded = replace(answered, facts=Facts(grade=0.9))
    true = replace(bare, truth="a")
    assert rank(bare) < rank(answered) < rank(graded) < rank(true)


def test_labels_and_hashes():
    assert label_of(chat(("user", "q"), label="a", truth="b")) == "a"
    assert label_of(chat(("user", "q"), truth="b")) == "b"
    assert label_of(chat(("user", "q"), answer="b")) is None
    assert hash64(b"stillhouse") == hash64(b"stillhouse") != hash64(b"Stillhouse")
