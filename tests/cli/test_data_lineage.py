"""`stillhouse data lineage`: back to files, and on to what was made of a version."""

from __future__ import annotations

import hashlib

from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_lineage_goes_back_to_the_bytes_of_files(told, told_json, tmp_path):
    told_json("filter", "support", "--model", "m1", "--model", "m" * 100, "--to", "ones")
    told_json("split", "ones")
    result = told_json("lineage", "ones@2")
    assert [version["reference"] for version in result["lineage"]] == ["ones@2", "ones@1", "support@1"]
    assert [version["step"]["verb"] for version in result["lineage"]] == ["split", "filter", "import"]
    version = result["lineage"][0]["step"]["code"]
    file = result["lineage"][-1]["step"]["settings"]["files"][0]
    digest = hashlib.sha256((tmp_path / "calls.jsonl").read_bytes()).hexdigest()
    assert (file["name"], file["sha256"]) == ("calls.jsonl", digest)
    assert told_json("lineage", "support")["descendants"] == ["ones@1", "ones@2"]
    words = told("lineage", "ones@2")[1]
    assert words.index("ones@2") < words.index("ones@1") < words.index("support@1") < words.index("calls.jsonl")
    assert f'filter: {{"equal":{{"model":["m1","{"m" * 100}"]}}}}' in words
    hashes = [version["hash"][:16] for version in result["lineage"]]
    assert all(any(line.endswith(f"sha256 {each}…, {version}") for line in words.splitlines()) for each in hashes)


def test_people_see_what_was_made_of_it(told, told_json):
    told_json("filter", "support", "--model", "m1", "--to", "ones")
    assert "Made of it: ones@1" in told("lineage", "support")[1]
