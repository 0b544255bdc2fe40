from __future__ import annotations

import subprocess
import sys

import pytest

from stillhouse.errors import BundleError, TrafficError
from stillhouse.evaluation.answers import Terms
from stillhouse.recipes.recertify import certify_bundle
from tests.recipes.runs import LABELS, ROOT, calls, chat, texts, write


def test_new_rows_judge_the_student(plain, tmp_path):
    rows = [row | {"truth": row["messages"][2]["content"]} for row in calls(LABELS, 90, seed=6)]
    unanswered = [chat(text, None) for text in texts([0] * 10, seed=7)]
    certificate = certify_bundle(plain / "student", (write(tmp_path / "new.jsonl", rows + unanswered),), Terms())
    assert certificate.test_rows == 90
    assert certificate.paired is not None
    assert certificate.paired.teacher_accuracy == 1.0
    assert certificate.paired.student_accuracy == certificate.agreement > 0.9


def test_odd_answers_count_against_it_and_bad_rows_are_skipped_when_asked(plain, tmp_path):
    rows = [*calls(LABELS, 60, seed=6), *(chat(text, "else") for text in texts([1] * 20, seed=7)), "{broken"]
    new = write(tmp_path / "new.jsonl", rows)
    with pytest.raises(TrafficError, match="line 81"):
        certify_bundle(plain / "student", (new,), Terms())
    certificate = certify_bundle(plain / "student", (new,), Terms(), skip_bad_rows=True)
    assert certificate.test_rows == 80
    assert certificate.provenance["outside_labels"] == {"test": 20}
    assert certificate.provenance["left_out"] == 1
    assert certificate.agreement <= 0.75


def test_repeats_of_a_call_prove_nothing_more(plain, tmp_path):
    rows = calls(LABELS, 60, seed=6)
    once = certify_bundle(plain / "student", (write(tmp_path / "once.jsonl", rows),), Terms())
    thrice = certify_bundle(plain / "student", (write(tmp_path / "thrice.jsonl", rows * 3),), Terms())
    assert (thrice.test_rows, thrice.interval) == (once.test_rows, once.interval) == (60, once.interval)
    assert (thrice.provenance["splits"], thrice.provenance["measured"]) == ({"test": 180}, {"test": 60})


def test_a_folder_without_a_student_is_refused(tmp_path):
    with pytest.raises(BundleError):
        certify_bundle(tmp_path, (tmp_path / "new.jsonl",), Terms())


def test_it_needs_no_torch(plain, tmp_path):
    new = write(tmp_path / "new.jsonl", calls(LABELS, 20, seed=6))
    script = (
        "import sys; from stillhouse.cli.main import run; "
        f"code = run(['certify', {str(plain / 'student')!r}, '--on', {str(new)!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
