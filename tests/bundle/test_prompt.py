from __future__ import annotations

from stillhouse.bundle.prompt import PromptForm, render_turns
from stillhouse.chat import Message

SYSTEM = Message("system", "Sort the mail.")
FORM = PromptForm((SYSTEM,), "Mail: «", "»\nAnswer:")


def test_the_text_between_prefix_and_suffix_is_read():
    assert FORM.read([SYSTEM, Message("user", "Mail: « where is it? »\nAnswer:")]) == "where is it?"


def test_calls_that_differ_in_the_constant_part_do_not_fit_and_the_reason_says_where():
    user = Message("user", "Mail: «hello»\nAnswer:")
    assert FORM.misfit([SYSTEM, user]) is None
    reasons = [
        FORM.misfit([user]),
        FORM.misfit([Message("system", "Sort the post."), user]),
        FORM.misfit([SYSTEM, Message("user", "hello")]),
        FORM.misfit([SYSTEM, Message("user", "Mail: »\nAnswer:")]),
        FORM.misfit([SYSTEM, user, user]),
        FORM.misfit([SYSTEM]),
        FORM.misfit([SYSTEM, Message("assistant", "Mail: «hello»\nAnswer:")]),
    ]
    assert reasons == [
        "its prompt does not start with the system message that the others share",
        "its prompt does not start with the system message that the others share",
        "its last message lacks the constant text around it that the others share",
        "its last message lacks the constant text around it that the others share",
        "its prompt has 2 messages where the others have one",
        "its prompt does not end with a message to answer",
        "its prompt does not end with a message to answer",
    ]


def test_prefix_and_suffix_may_not_overlap():
    assert PromptForm(prefix="aba", suffix="ba").read([Message("user", "aba")]) is None


def test_several_turns_are_written_as_lines_with_their_roles():
    turns = [Message("user", "hi"), Message("assistant", "hello"), Message("user", "> bye")]
    assert PromptForm(prefix="> ", several_turns=True).read(turns) == "user: hi\nassistant: hello\nuser: bye"
    assert render_turns(turns[:1]) == "hi"
