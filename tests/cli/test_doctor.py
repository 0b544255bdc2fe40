from __future__ import annotations

import json

from stillhouse import extras
from stillhouse.cli import doctor
from stillhouse.cli.main import run


def named(found):
    return {check["name"]: check for check in found}


def test_a_sound_machine_passes(tmp_path, capsys):
    assert run(["doctor", "--home", str(tmp_path / "new"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    checks = named(told["checks"])
    assert told["ok"] is True
    assert {"python", "packages: base", "packages: train", "encoder", "cores", "memory", "disk", "home"} <= set(checks)
    assert "numpy" in checks["packages: base"]["found"]
    assert not (tmp_path / "new").exists()


def test_people_get_a_line_per_check(tmp_path, capsys):
    assert run(["doctor", "--home", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("ok", "missing")) for line in lines)
    assert any("all-MiniLM" in line for line in lines)


def test_a_missing_extra_is_named_with_its_cure_and_is_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(extras.EXTRAS, "train", ("torch", "no_such_package"))
    assert run(["doctor", "--home", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "no no_such_package" in told
    assert "pip install no-such-package" in told
    assert "pip install torch" not in told, "what is there needs no installing"


def test_a_missing_base_package_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(extras, "BASE", ("no_such_package",))
    assert run(["doctor", "--home", str(tmp_path), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert named(told["checks"])["packages: base"]["ok"] is False


def test_a_home_that_cannot_be_a_folder_fails(tmp_path):
    (tmp_path / "file").write_text("")
    check = doctor.writable(tmp_path / "file" / "home")
    assert not check.ok
    assert "--home" in check.advice
