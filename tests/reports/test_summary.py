"""What `inspect` prints."""

from __future__ import annotations

from stillhouse.reports.record import RunRecord
from stillhouse.reports.summary import summary


def test_it_says_what_the_student_is_and_what_is_promised(record: RunRecord):
    text = summary(record.manifest, record.certificate)
    assert text.startswith("Let the student answer 83 %")
    assert "support-desk (encoder-3), taught by gpt-4.1" in text
    assert "77 labels: card_arrival" in text
    assert "92.4 %, 91.4 % to 93.3 % at 95 % confidence, on 3,080 sealed calls" in " ".join(text.split())
    assert "a1" * 32 in text


def test_it_fits_a_terminal_whatever_the_labels(hostile: RunRecord):
    text = summary(hostile.manifest, hostile.certificate)
    assert "\x00" not in text
    assert "\u202e" not in text
    assert max(len(line) for line in text.split("\n")[1:]) <= 100


def test_no_sealed_rows_is_not_zero_agreement(empty: RunRecord):
    assert "unknown: no sealed calls" in summary(empty.manifest, empty.certificate)
