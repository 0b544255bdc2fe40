from __future__ import annotations

from stillhouse.data.tally import Tally, by_rows


def tally(counts: dict[str, int]) -> Tally:
    found = Tally()
    for value, rows in counts.items():
        found.add(value.strip().encode(), value, rows, "calls.jsonl, line 1")
    return found


def test_labels_come_commonest_first_and_in_their_commonest_spelling():
    judged = tally({"b": 2, "a": 2, "c": 9, " a": 1, "once": 1}).judge()
    assert judged.counts == {"c": 9, "a": 3, "b": 2, "once": 1}
    assert judged.odd == 0


def test_a_long_answer_seen_once_is_odd_and_no_label():
    judged = tally({"refund": 30, "order": 20, "I am sorry, but I cannot help with that. " * 2: 1}).judge()
    assert list(judged.counts) == ["refund", "order"]
    assert judged.odd == 1


def test_too_many_or_too_long_values_are_free_words():
    assert tally({f"label {number}": 5 for number in range(1_000)}).judge().counts
    assert tally({f"label {number}": 5 for number in range(1_001)}).judge().free
    assert tally({f"label {number}": 1 for number in range(30)} | {"a": 3}).judge().free
    assert tally({"x" * 201: 50, "y": 50}).judge().free


def test_memory_is_bounded_by_counting_rare_values_as_a_whole():
    judged = tally({str(number): 1 for number in range(20_000)}).judge()
    assert judged.free


def test_examples_are_three_different_values_with_their_places():
    assert [value for _, value in tally({"a": 1, "b": 1, "c": 1, "d": 1}).examples] == ["a", "b", "c"]


def test_equal_counts_are_ordered_by_text():
    assert list(by_rows({"b": 1, "a": 1, "c": 2})) == ["c", "a", "b"]
