from __future__ import annotations

import pytest

from stillhouse.data.curation.balance import WEIGHT, Balance, balance
from stillhouse.data.items import Facts, Item, Kind, Source
from stillhouse.errors import UsageError


def text(label: str | None, row: int, **facts: object) -> Item:
    return Item(
        Kind.TEXT, ({"role": "user", "content": f"t{row}"},), label=label, facts=Facts(**facts), source=Source(row=row)
    )


ROWS = (
    [text("big", row) for row in range(30)]
    + [text("mid", row) for row in range(30, 40)]
    + [text("small", row) for row in range(40, 44)]
)


def sizes(curated) -> dict[str | None, int]:
    kept = [item.label for item in curated.kept]
    return {label: kept.count(label) for label in dict.fromkeys(kept)}


def test_no_label_has_more_than_the_cap():
    found = balance([*ROWS, text(None, 99)], Balance(most=8))
    assert sizes(found) == {"big": 8, "mid": 8, "small": 4, None: 1}
    assert found.counts["over-cap"] == 24
    assert {why for _, why in found.dropped} == {
        "over-cap: 30 rows of the label big, 8 stay", "over-cap: 10 rows of the label mid, 8 stay"
    }  # fmt: skip


def test_a_ratio_is_of_the_middle_label_and_the_smaller_cap_counts():
    assert sizes(balance(ROWS, Balance(ratio=1.5))) == {"big": 15, "mid": 10, "small": 4}
    assert sizes(balance(ROWS, Balance(ratio=1.5, most=12))) == {"big": 12, "mid": 10, "small": 4}


def test_neither_order_nor_other_rows_decide_who_stays_but_the_seed_does():
    kept = {item.id for item in balance(ROWS, Balance(most=8)).kept}
    assert {item.id for item in balance(ROWS[::-1], Balance(most=8)).kept} == kept
    assert {item.id for item in balance(ROWS[:30], Balance(most=8)).kept} <= kept
    assert {item.id for item in balance(ROWS, Balance(most=8, seed=1)).kept} != kept


def test_weights_even_out_with_mean_one():
    for power, ratio in ((0.0, 30 / 4), (0.5, (30 / 4) ** 0.5)):
        found = list(balance(ROWS, Balance(power=power)).kept)
        weights = {item.label: float(item.facts.metadata[WEIGHT]) for item in found}
        assert weights["small"] / weights["big"] == pytest.approx(ratio, rel=1e-4)
        assert sum(float(item.facts.metadata[WEIGHT]) for item in found) == pytest.approx(44, rel=1e-4)


def test_other_fields_can_be_balanced():
    rows = [
        text("x", row, language="de" if row else "en", metadata={"team": "a", "cluster": "c"}, model="m")
        for row in range(5)
    ]
    for by, most, kept in (("language", 1, 2), ("team", 2, 2), ("cluster", 3, 3), ("model", 4, 4)):
        assert balance(rows, Balance(by=by, most=most)).counts["kept"] == kept
    taught = [Item(Kind.TEXT, label="x", source=Source(teacher="t", row=row)) for row in range(3)]
    assert balance(taught, Balance(by="teacher", most=1)).counts["kept"] == 1
    with pytest.raises(UsageError, match="No row has a subject"):
        balance(rows, Balance(by="subject", most=1))


def test_what_means_nothing_is_refused():
    for wrong in ({"most": -1}, {"ratio": -1.0}, {"power": 2.0}, {"by": ""}):
        with pytest.raises(UsageError):
            Balance(**wrong)
