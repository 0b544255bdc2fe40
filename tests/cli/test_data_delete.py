"""`stillhouse data delete`: refused while others descend from a version; what learnt from it is named."""

from __future__ import annotations

import json

from stillhouse.cli.data_home import with_catalogue
from stillhouse.cli.main import run
from tests.cli.datasets_for_tests import told, told_json

__all__ = ["told", "told_json"]


def test_a_version_goes_with_its_descendants_or_not_at_all(told, told_json, tmp_path):
    told_json("filter", "support", "--model", "m1", "--to", "ones")
    for more in ([], ["--dry-run"]):
        code, words = told("delete", "support@1", *more)
        assert code == 2
        assert "ones@1" in words
    tried = told_json("delete", "support@1", "--with-descendants", "--dry-run")
    assert (tried["deleted"], tried["dry_run"]) == (["support@1", "ones@1"], True)
    assert (tmp_path / "home/datasets/default/support/1/items.parquet").is_file()
    assert told_json("delete", "support@1", "--with-descendants")["deleted"] == ["support@1", "ones@1"]
    assert not (tmp_path / "home/datasets/default/support").exists()
    assert told_json("list")["versions"] == []


def test_a_number_must_be_named(told, told_json):
    code, words = told("delete", "support")
    assert code == 2
    assert "support@1" in words


def test_what_learnt_from_it_is_named(told_json, tmp_path, capsys):
    async def use(catalogue, store):
        await catalogue.used(await catalogue.find("support"), "bundle", "/models/a")

    with_catalogue(("default", tmp_path / "home", None), use)
    capsys.readouterr()
    assert run(["data", "delete", "support@1", "--home", str(tmp_path / "home"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["used_by"] == [{"version": "support@1", "kind": "bundle", "user": "/models/a"}]
    assert "/models/a learnt from support@1" in " ".join(captured.err.split())


def test_a_legal_hold_is_told_and_nothing_goes(told, told_json, tmp_path, capsys):
    told_json("filter", "support", "--model", "m1", "--to", "ones")
    assert run(["hold", "place", "case 7", "--home", str(tmp_path / "home"), "--json"]) == 0
    hold = json.loads(capsys.readouterr().out)
    for more in ([], ["--dry-run"]):
        code, words = told("delete", "ones@1", *more)
        assert code == 1
        assert "ones@1 has items on hold, and stays." in " ".join(words.split())
        assert f"stillhouse hold release {hold['id']}" in " ".join(words.split())
    assert [each["reference"] for each in told_json("list")["versions"]] == ["ones@1", "support@1"]
