from __future__ import annotations

import pytest

from stillhouse.data.curation.decontaminate import Decontaminate, decontaminate
from stillhouse.data.items import Item, Kind
from stillhouse.errors import UsageError

RIVER = "the river rose above its banks in the night and by morning the lower town stood under a metre of water"
BIRDS = "test-set: birds.jsonl shares 8 words: a magpie can recognise itself in a mirror"
BANKS = "test-set: river@1 shares 8 words: the river rose above its banks in the"
MAGPIE = "a magpie can recognise itself in a mirror which few animals other than apes and dolphins are known to do"


def text(words: str, answer: str | None = None, truth: str | None = None) -> Item:
    said = {"role": "assistant", "content": answer} if answer else None
    return Item(Kind.CHAT, ({"role": "user", "content": words},), said, truth=truth)


TESTS = {"river@1": [text(RIVER), text("How far is it?")], "birds.jsonl": [text("What can it do?", answer=MAGPIE)]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (text(RIVER), "test-set: river@1 asks exactly this"),
        (text("how far is  IT?"), "test-set: river@1 asks this but for case and space"),
        (text(f"Somebody wrote: {RIVER.upper()}!"), BANKS),
        (text("Tell me of birds", answer=f"Well, {MAGPIE}."), BIRDS),
        (text("Tell me of birds", truth=MAGPIE), BIRDS),
        (text("How far is the river from the town?"), None),
        (text(" ".join(RIVER.split()[:7])), None),
    ],
)  # fmt: skip
def test_what_a_test_set_holds_is_found(row, reason):
    found = decontaminate([text("something of our own"), row], Decontaminate(), TESTS)
    assert [why for _, why in found.dropped] == ([reason] if reason else [])
    assert found.counts["kept"] == (1 if reason else 2)


def test_counts_are_per_test_set():
    rows = [text(RIVER), text(RIVER), text(f"oh {MAGPIE}"), text("mine")]
    counts = decontaminate(rows, Decontaminate(), TESTS).counts
    assert (counts["in river@1"], counts["in birds.jsonl"], counts["test-set"]) == (2, 1, 3)


def test_a_run_that_many_rows_share_is_a_template_and_no_leak():
    rows = [text(f"{RIVER} number {number}") for number in range(11)]
    found = decontaminate(rows, Decontaminate(), {"t": [text(f"{RIVER} and so on")]})
    assert (found.counts["kept"], found.counts["rows with usual runs only"]) == (11, 11)
    assert decontaminate(rows, Decontaminate(usual=11), {"t": [text(f"{RIVER} and so on")]}).counts["kept"] == 0


def test_the_length_of_runs_follows_the_test_set_within_bounds():
    long = {"t": [text(f"{RIVER} {number}") for number in range(3)]}
    shared = text("by " + " ".join(RIVER.split()[:12]))
    assert decontaminate([shared], Decontaminate(), long).counts["kept"] == 1, "13 words are needed"
    assert decontaminate([shared], Decontaminate(longest=12), long).counts["kept"] == 0


def test_near_duplicates_of_short_questions_are_looked_for_on_demand():
    tests = {"bank": [text("i am still waiting on my new card"), text("other")]}
    rows = [text("i am still waiting on my new card please"), text("where is the branch")]
    assert decontaminate(rows, Decontaminate(shortest=10), tests).counts["kept"] == 2
    found = decontaminate(rows, Decontaminate(shortest=10, near=0.8), tests)
    assert [why for _, why in found.dropped] == ["test-set: bank asks nearly this"]
    assert found.counts["in bank"] == 1


def test_what_means_nothing_is_refused():
    with pytest.raises(UsageError, match="holds no questions"):
        decontaminate([text("a")], Decontaminate(), {"t": [text("")]})
    for wrong in ({"shortest": 2}, {"shortest": 14}, {"usual": 0}, {"near": 2.0}):
        with pytest.raises(UsageError):
            Decontaminate(**wrong)
