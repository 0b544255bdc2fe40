"""The ladder for jobs: a bundle in the job's folder, and what it promises told."""

from __future__ import annotations

import pytest

from stillhouse.errors import TrafficError
from stillhouse.jobs.climb import BUNDLE, climb
from stillhouse.jobs.job_folder import JobFolder
from tests.jobs.writers import chat


def test_a_student_its_certificate_and_its_figures_are_told(tmp_path):
    folder = JobFolder(tmp_path)
    rows = [chat(f"{word} {number}", word) for number in range(60) for word in ("refund", "parcel", "other")]
    folder.write_rows("train", rows)
    folder.write_rows(
        "valid", [chat(f"{word} {number}x", word) for number in range(20) for word in ("refund", "parcel")]
    )
    climb(folder, "ft:x", 0, ["words"])
    lines, _ = folder.told()
    [rung] = [line for line in lines if "rung" in line]
    assert rung["name"] == "words"
    certificate = lines[-1]
    assert certificate["metadata"]["student"] == "words"
    assert all(len(value) <= 512 for value in certificate["metadata"].values())
    assert (folder.path / BUNDLE / "stillhouse.json").is_file()
    assert '"name": "ft:x"' in (folder.path / BUNDLE / "stillhouse.json").read_text()


def test_free_text_is_no_matter_for_the_ladder(tmp_path):
    folder = JobFolder(tmp_path)
    folder.write_rows("train", [chat(f"ask {number}", f"a story told once, {number}") for number in range(40)])
    with pytest.raises(TrafficError):
        climb(folder, "ft:x", 0, ["words"])
