from __future__ import annotations

import json

from stillhouse.data.exporters.openai import answer_of, write_openai
from stillhouse.wire.training_rows import read_training_rows
from tests.data.exporters.made_items import CHAT, EVERY, PAIR, TEXT, TURNS, image
from tests.data.importers.reading import shelf_in


def test_rows_are_such_as_fine_tuning_jobs_accept(tmp_path):
    out = tmp_path / "a.jsonl"
    done = write_openai([item for item in EVERY if item is not PAIR] * 4, out)
    assert (done.written, done.left_out) == (16, {"it has no answer": 4})
    rows = list(read_training_rows(out.read_bytes().splitlines(), "supervised", "training"))
    assert len(rows) == 16
    assert rows[2]["tools"][0]["function"]["name"] == "look"
    assert rows[3]["messages"][-1] == {"role": "assistant", "content": "order"}
    write_openai([PAIR] * 10, out)
    pairs = list(read_training_rows(out.read_bytes().splitlines(), "dpo", "training"))
    assert pairs[0]["non_preferred_output"][0]["content"] == 'no, "never"\n'


def test_what_of_messages_openai_does_not_know_is_not_written(tmp_path):
    from dataclasses import replace

    odd = replace(TURNS, answer={"role": "assistant", "content": "a", "annotations": [], "logprobs": None})
    write_openai([odd], tmp_path / "a")
    assert json.loads((tmp_path / "a").read_text())["messages"][-1] == {"role": "assistant", "content": "a"}
    done = write_openai([image(shelf_in(tmp_path)), odd], tmp_path / "b")
    assert done.written == 1
    assert len(done.left_out) == 1


def test_the_answer_is_what_was_said_else_the_truth_else_the_label():
    from dataclasses import replace

    assert answer_of(CHAT) == CHAT.answer
    assert answer_of(TEXT)["content"] == "order"
    assert answer_of(replace(TEXT, truth="parcel"))["content"] == "parcel"
