"""Sniff: which format a file or folder is, by what it holds and not by what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from stillhouse.data.bad_rows import BadRows
from stillhouse.data.formats import read_head
from stillhouse.data.importers.options import ROLES, Options, columns_of
from stillhouse.data.importers.paired import LISTS, SIDECARS
from stillhouse.data.importers.pictures import IMAGE_NAMES
from stillhouse.data.importers.records import delimiter_of, read_objects
from stillhouse.errors import UsageError

__all__ = ["sniff_format"]

LOOKED_AT = 2_000
"""Files of a folder that are looked at."""
WANTED = "Datasets are JSON lines, tables, plain text, Parquet, or folders."

KEYS: tuple[tuple[str, frozenset[str]], ...] = (
    ("otlp", frozenset({"resourceSpans", "resourceLogs", "resource_spans", "resource_logs"})),
    ("paired", frozenset({"file_name"})),
    ("jsonl", frozenset({"kind"})),
    ("litellm", frozenset({"standard_logging_object", "call_type", "request_tags", "model_group"})),
    ("helicone", frozenset({"request_body", "response_body", "request_created_at", "response_created_at"})),
    (
        "langfuse",
        frozenset({"traceId", "trace_id", "observations", "sessionId", "session_id", "startTime", "htmlPath"}),
    ),
    ("sharegpt", frozenset({"conversations", "conversation"})),
    ("openai", frozenset({"messages", "choices", "preferred_output", "non_preferred_output", "custom_id"})),
    ("dpo", frozenset({"chosen", "rejected"})),
    ("alpaca", frozenset({"instruction"})),
    ("openai", frozenset({"prompt"})),
)
"""A format is told by the first row that has one of its keys, likeliest format first."""
BODY = {
    "jsonl": {"source", "facts", "messages", "media"},
    "langfuse": {"input", "output", "observations", "data", "type"},
}
"""Of some formats another key must be there too."""


def sniff_format(path: Path) -> str:
    """The name of the format; raises UsageError that says what was seen where it is none that is known."""
    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    return _folder(path) if path.is_dir() else _file(path)


def _folder(path: Path) -> str:
    inside: list[Path] = []
    for file in path.rglob("*"):
        if file.is_file() and not file.name.startswith("."):
            inside.append(file)
        if len(inside) == LOOKED_AT:
            break
    ends = {file.suffix.lower() for file in inside}
    if {".arrow", ".parquet"} & ends:
        return "huggingface"
    if any(file.name in LISTS for file in inside):
        return "paired"
    sidecars = {file.with_suffix("") for file in inside if file.suffix.lower() in SIDECARS}
    if sidecars & {file.with_suffix("") for file in inside if file.suffix.lower() not in SIDECARS}:
        return "paired"
    if set(IMAGE_NAMES) & ends:
        return "images"
    seen = ", ".join(sorted(end or "files without an ending" for end in ends)[:8]) or "nothing"
    raise UsageError(
        f"{path} is a folder of no format that is known; seen were: {seen}. Known are folders of pictures, "
        "one per class; of files with .txt or .json beside them or a metadata.jsonl; "
        "of Arrow or Parquet. Name single files otherwise."
    )


def _file(path: Path) -> str:
    with path.open("rb") as file:
        if file.read(4) == b"PAR1":
            return "huggingface"
    head = read_head(path, WANTED).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.strip():
        raise UsageError(f"{path} is empty.")
    if head.startswith((b"{", b"[")):
        return _json(path)
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    columns = [name.strip().strip('"') for name in first.split(delimiter_of(head))]
    if len(columns) > 1 or _is_table(path):
        return _table(columns, path)
    return "text"


def _json(path: Path) -> str:
    bad = BadRows(skip=True)
    record = next(read_objects(path, Options(), bad), None)
    if record is None:
        raise UsageError(f"{path} looks like JSON, and no row of it can be read. {bad.listed()}")
    row = record.value
    if isinstance(row.get("data"), list) and row["data"] and isinstance(row["data"][0], dict):
        row = cast("dict[str, Any]", row["data"][0])
    found = _by_keys(set(row))
    if found is None and {"input", "output"} <= set(row) and ("type" in row or "timestamp" in row):
        found = "langfuse"
    if found is None and {"text", "messages"} & set(columns_of(list(row), Options(), path.name)):
        found = "csv"
    if found is None:
        keys = ", ".join(list(row)[:12]) or "none"
        raise UsageError(
            f"{path} holds JSON of no format that is known: the keys of its first row are {keys}. Name the format with "
            "--format, or write it as a table and import that with --column."
        )
    return found


def _by_keys(keys: set[str]) -> str | None:
    return next((name for name, known in KEYS if known & keys and (name not in BODY or BODY[name] & keys)), None)


def _is_table(path: Path) -> bool:
    return bool({".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes})


def _table(columns: list[str], path: Path) -> str:
    found = _by_keys(set(columns))
    if found in ("langfuse", "litellm", "helicone"):
        return found
    lower = {name.lower() for name in columns}
    known = {name for names in ROLES.values() for name in names}
    if _is_table(path) or lower & known:
        return "csv"
    return "text"
