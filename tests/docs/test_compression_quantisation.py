"""The code of docs/compression-quantisation.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from stillhouse.compression.calibrate import Samples
from tests.compression import graphs

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compression-quantisation.md"


def test_its_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    graphs.save(graphs.convolutional(), tmp_path / "model.onnx")
    batches = [graphs.pictures(seed=seed)["pixel_values"] for seed in range(3)]
    known = {"batches": batches, "samples": Samples([{"pixel_values": batch} for batch in batches])}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, known)
    assert "conv" in capsys.readouterr().out
    assert (tmp_path / "small.onnx").is_file()
