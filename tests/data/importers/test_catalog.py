from __future__ import annotations

from stillhouse.data.importers.catalog import IMPORTERS, sniff
from tests.data.importers.reading import USER, lines


def test_every_importer_is_found_by_its_name_and_described():
    assert set(IMPORTERS) == {
        *("openai", "langfuse", "litellm", "helicone", "otlp", "huggingface", "sharegpt", "alpaca", "dpo"),
        *("csv", "text", "images", "paired", "jsonl"),
    }
    assert all(importer.name == name and importer.says for name, importer in IMPORTERS.items())


def test_a_file_gets_the_importer_that_reads_it(tmp_path):
    assert sniff(lines(tmp_path / "a", {"messages": [USER]})) is IMPORTERS["openai"]
