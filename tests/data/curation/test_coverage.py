from __future__ import annotations

import numpy as np
import pytest

from stillhouse.data.curation.coverage import CLUSTER, Coverage, Scenario, coverage
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import UsageError

SCENES = [
    "my parcel {} is late and not delivered",
    "i forgot password {} and cannot log in",
    "refund the double charge {} on my card",
]


def ask(scene: int, row: int, label: str | None = "ok", **more: object) -> Item:
    words = SCENES[scene].format(row)
    return Item(Kind.TEXT, ({"role": "user", "content": words},), label=label, source=Source(row=row), **more)


def scene_of(item: Item) -> str:
    return next(word for word in ("parcel", "password", "refund") if word in item.text)


def gaps(found) -> dict[str, dict]:
    return {f"{gap['do']} {scene_word(gap['example'])}": gap for gap in found.found["gaps"]}


def scene_word(text: str) -> str:
    return next(word for word in ("parcel", "password", "refund") if word in text)


ROWS = [ask(0, row) for row in range(40)] + [ask(1, row) for row in range(40)] + [ask(2, row) for row in range(6)]


def test_scenarios_are_written_into_rows_and_named_by_their_words():
    found = coverage(ROWS, Coverage(clusters=3))
    names = {(scene_of(item), item.facts.metadata[CLUSTER]) for item in found.kept}
    assert len(names) == 3
    assert all(scene in name for scene, name in names)
    assert found.counts["kept"] == found.counts["changed"] == 86
    assert [each["rows"] for each in found.found["scenarios"]] == [40, 40, 6]


def test_a_thin_scenario_is_what_to_collect_next():
    gap = gaps(coverage(ROWS, Coverage(clusters=3)))["collect refund"]
    assert (gap["rows"], gap["why"]) == (14, "6 rows")
    assert gaps(coverage(ROWS, Coverage(clusters=3, enough=5))) == {}


def test_traffic_says_how_much_is_wanted():
    traffic = [ask(2, row) for row in range(50)] + [ask(0, row) for row in range(50)]
    found = gaps(coverage(ROWS, Coverage(clusters=3, enough=1), None, traffic))
    assert found["collect refund"]["rows"] == 43 - 6
    assert "50.0% of the traffic" in found["collect refund"]["why"]
    assert list(found) == ["collect refund"]


def test_doubt_low_grades_and_missing_answers_are_gaps():
    doubted = [ask(0, row, "a", truth="b" if row < 12 else "a", facts=Facts(grade=0.9)) for row in range(40)]
    graded = [ask(1, row, facts=Facts(grade=0.3)) for row in range(40)]
    unsure = [ask(2, row, None if row < 3 else "a", soft={"a": 0.5, "b": 0.5}) for row in range(40)]
    found = gaps(coverage([*doubted, *graded, *unsure], Coverage(clusters=3)))
    assert found["ask a better teacher for password"]["rows"] == 40
    assert found["label refund"]["rows"] == 3
    assert found["review or label again refund"]["rows"] == 40
    assert "review or label again parcel" not in found, "less than twice as often as all"


def test_vectors_of_ones_own_decide():
    def by_length(texts):
        return np.stack([np.eye(2, dtype=np.float32)[len(text) % 2] for text in texts])

    rows = [ask(0, 1), ask(0, 10), ask(0, 2), ask(0, 20)]
    found = list(coverage(rows, Coverage(clusters=2), by_length).kept)
    assert (
        len(
            {item.facts.metadata[CLUSTER] for item in found[::2]}
            | {item.facts.metadata[CLUSTER] for item in found[1::2]}
        )
        >= 1
    )
    sizes = sorted(each["rows"] for each in coverage(rows, Coverage(clusters=2), by_length).found["scenarios"])
    assert sizes == [2, 2]


def test_rows_without_words_and_no_rows():
    assert coverage([], Coverage()).counts["scenarios"] == 0
    picture = Item(Kind.IMAGE)
    assert coverage([*ROWS, picture], Coverage(clusters=3)).counts["rows without a scenario"] == 1
    assert Scenario("x").grade is None


def test_what_means_nothing_is_refused():
    for wrong in ({"clusters": -1}, {"clusters": 5_000}, {"enough": -1}):
        with pytest.raises(UsageError):
            Coverage(**wrong)
