"""Every format that datasets are read from: one explicit list, and which of them a file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import final

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.importers.alpaca import read_alpaca
from stillhouse.data.importers.csv import read_csv
from stillhouse.data.importers.dpo import read_dpo
from stillhouse.data.importers.helicone import read_helicone
from stillhouse.data.importers.huggingface import read_huggingface
from stillhouse.data.importers.images import read_images
from stillhouse.data.importers.items import read_items
from stillhouse.data.importers.langfuse import read_langfuse
from stillhouse.data.importers.litellm import read_litellm
from stillhouse.data.importers.openai import read_openai
from stillhouse.data.importers.options import Options
from stillhouse.data.importers.otlp import read_otlp
from stillhouse.data.importers.paired import read_paired
from stillhouse.data.importers.sharegpt import read_sharegpt
from stillhouse.data.importers.sniff import sniff_format
from stillhouse.data.importers.text import read_text
from stillhouse.data.items import Item

__all__ = ["IMPORTERS", "Importer", "sniff"]


@final
@dataclass(frozen=True, slots=True)
class Importer:
    """How one format is read."""

    name: str
    says: str
    """What it is, in one line."""
    read: Callable[[Path, Options, BadRows], Iterator[Item]]


def _table(*importers: Importer) -> Mapping[str, Importer]:
    return MappingProxyType({importer.name: importer for importer in importers})


IMPORTERS = _table(
    Importer(
        "openai", "fine-tuning rows (chat, tools, preferences), stored completions and batches of OpenAI", read_openai
    ),
    Importer("langfuse", "observations and traces that Langfuse exported: JSON, JSON lines or CSV", read_langfuse),
    Importer("litellm", "LiteLLM's spend logs, or the payloads that its callbacks write", read_litellm),
    Importer("helicone", "requests and responses that Helicone exported: JSON, JSON lines or CSV", read_helicone),
    Importer("otlp", "spans and logs of OpenTelemetry in OTLP/JSON, by the GenAI conventions", read_otlp),
    Importer("huggingface", "a folder of `datasets.save_to_disk` (Arrow), or Parquet files", read_huggingface),
    Importer("sharegpt", "conversations of turns by human and gpt, also with tools or two answers", read_sharegpt),
    Importer("alpaca", "rows of instruction, input and output", read_alpaca),
    Importer("dpo", "rows of prompt, chosen and rejected, as TRL reads them", read_dpo),
    Importer("csv", "a table: CSV or TSV with a header, or JSON objects; columns by name or by --column", read_csv),
    Importer("text", "plain text, an item a line", read_text),
    Importer("images", "a folder of pictures, one folder per class", read_images),
    Importer("paired", "files with .txt or .json beside them, or named by a metadata.jsonl or .csv", read_paired),
    Importer("jsonl", "our own JSON lines, with everything that is known of an item", read_items),
)


def sniff(path: Path) -> Importer:
    """How a file or folder is read, by what it holds; raises UsageError that says what was seen."""
    return IMPORTERS[sniff_format(path)]
