"""Rows of preferences in every form that they come in, and what is refused."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.tasks.pairs import is_pair, pair_of

ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is it?"}]
GOOD, BAD = ({"role": "assistant", "content": words} for words in ("On its way.", "No idea."))
TOOLS = [{"type": "function", "function": {"name": "track"}}]
OPENAI = {
    "input": {"messages": ASKED, "tools": TOOLS, "parallel_tool_calls": True},
    "preferred_output": [GOOD],
    "non_preferred_output": [BAD],
}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASKED, "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": ASKED, "chosen": "On its way.", "rejected": "No idea."},
        {"prompt": ASKED, "chosen": [GOOD], "rejected": "No idea."},
        {"chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD]},
        {"prompt": "Where is it?", "chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD], "score_chosen": 8.0},
        {key: value if key != "input" else {"messages": ASKED} for key, value in OPENAI.items()},
    ],
)
def test_every_form_says_the_same(row):
    assert is_pair(row)
    assert pair_of(row) == ({"prompt": ASKED, "completion": [GOOD]}, {"prompt": ASKED, "completion": [BAD]})


def test_texts_stay_texts_and_a_text_before_messages_is_a_question():
    assert pair_of({"prompt": "2+2=", "chosen": "4", "rejected": "5"}) == (
        {"prompt": "2+2=", "completion": "4"},
        {"prompt": "2+2=", "completion": "5"},
    )
    better, _ = pair_of({"prompt": "Where?", "chosen": [GOOD], "rejected": [BAD]})
    assert better["prompt"] == [{"role": "user", "content": "Where?"}]


def test_tools_come_along_and_conversations_part_where_they_differ():
    assert all(row["tools"] == TOOLS for row in pair_of(OPENAI))
    assert pair_of({"chosen": [*ASKED, GOOD], "rejected": [*ASKED, BAD], "tools": TOOLS})[0]["tools"] == TOOLS
    more = [*ASKED, GOOD, {"role": "user", "content": "Thanks."}]
    better, worse = pair_of({"chosen": [*more, GOOD, GOOD], "rejected": [*more, BAD]})
    assert better == {"prompt": more, "completion": [GOOD, GOOD]}
    assert worse == {"prompt": more, "completion": [BAD]}


def test_other_rows_are_no_pairs():
    for row in ("text", {"prompt": "a", "completion": "b"}, {"chosen": "a"}, None, ["chosen", "rejected"]):
        assert not is_pair(row)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "chosen": "b"}, r"needs `prompt`, `chosen` and `rejected`.*its keys are: chosen, prompt\."),
        ({}, "its keys are: none"),
        ({"chosen": "b", "rejected": "c"}, "no `prompt`, so it is not known where its answers begin"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "no prompt: its answers are answers only"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "Both answers of the pair are the same"),
        ({"prompt": ASKED, "chosen": [GOOD], "rejected": [GOOD]}, "Both answers of the pair are the same"),
        ({"chosen": [*ASKED, GOOD], "rejected": [ASKED[1], BAD]}, "share 0 messages, after which there are 3 and 2"),
        ({"chosen": [*ASKED, GOOD], "rejected": [*ASKED, GOOD]}, "share 3 messages, after which there are 0 and 0"),
        ({"chosen": ASKED, "rejected": [ASKED[0], BAD]}, "must begin with the same messages"),
        ({"prompt": "a", "chosen": [], "rejected": "c"}, "`chosen` must be a text or a list of messages; it is '"),
        ({"prompt": 3, "chosen": "a", "rejected": "c"}, "`prompt` must be a text or a list of messages; it is '3'"),
        ({"input": [], "preferred_output": [GOOD], "non_preferred_output": [BAD]}, "`input` with `messages`"),
    ],
)
def test_what_is_no_pair_is_refused_with_the_reason(row, said):
    with pytest.raises(UsageError, match=said):
        pair_of(row)
