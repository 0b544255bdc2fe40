from __future__ import annotations

from stillhouse.data.exporters.catalog import EXPORTERS


def test_every_exporter_is_found_by_its_name_and_described():
    assert set(EXPORTERS) == {"openai", "sharegpt", "alpaca", "dpo", "parquet", "csv", "jsonl", "images"}
    assert all(exporter.name == name and exporter.says for name, exporter in EXPORTERS.items())
