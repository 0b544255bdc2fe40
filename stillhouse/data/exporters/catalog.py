"""Every format that datasets are written in: one explicit list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

from stillhouse.data.exporters.alpaca import write_alpaca
from stillhouse.data.exporters.csv import write_csv
from stillhouse.data.exporters.dpo import write_dpo
from stillhouse.data.exporters.images import write_images
from stillhouse.data.exporters.items import write_items
from stillhouse.data.exporters.openai import write_openai
from stillhouse.data.exporters.out import Exported
from stillhouse.data.exporters.parquet import write_parquet
from stillhouse.data.exporters.sharegpt import write_sharegpt
from stillhouse.data.items import Item
from stillhouse.data.shelf import Shelf

__all__ = ["EXPORTERS", "Exporter"]


@final
@dataclass(frozen=True, slots=True)
class Exporter:
    """How one format is written."""

    name: str
    says: str
    """What it is, in one line."""
    write: Callable[[Iterable[Item], Path, Shelf | None], Exported]
    suffix: str
    """How its files end; nothing for a folder."""


def _table(*exporters: Exporter) -> Mapping[str, Exporter]:
    return MappingProxyType({exporter.name: exporter for exporter in exporters})


EXPORTERS = _table(
    Exporter("openai", "fine-tuning rows of OpenAI; items with two answers as its DPO rows", write_openai, ".jsonl"),
    Exporter("sharegpt", "conversations of turns by human and gpt", write_sharegpt, ".jsonl"),
    Exporter("alpaca", "rows of instruction, input and output", write_alpaca, ".jsonl"),
    Exporter("dpo", "rows of prompt, chosen and rejected, as TRL reads them", write_dpo, ".jsonl"),
    Exporter("parquet", "plain columns for datasets, DuckDB, Polars and pandas", write_parquet, ".parquet"),
    Exporter("csv", "plain columns as a table", write_csv, ".csv"),
    Exporter("jsonl", "items with everything that is known of them, to be imported again", write_items, ".jsonl"),
    Exporter("images", "a folder of pictures, one folder per class", write_images, ""),
)
