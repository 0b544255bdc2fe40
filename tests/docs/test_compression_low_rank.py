"""The code of docs/compression-low-rank.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from stillhouse.models.factored import has_factors
from stillhouse.models.load import load_classifier
from tests.models import kinds, tiny

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compression-low-rank.md"


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = kinds.make("bert-classifier")
    tiny.save(tmp_path / "teacher-folder", model, tiny.wordpiece())
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    exec(block, {"batches": [kinds.inputs(model, rows=4)]})
    before, after = map(int, capsys.readouterr().out.split()[:2])
    assert after < before
    for file in (tmp_path / "teacher-folder").glob("*token*"):
        (tmp_path / "thin" / file.name).write_bytes(file.read_bytes())
    assert has_factors(load_classifier("thin").model)
