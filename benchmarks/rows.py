"""No benchmark, but how all of them read the datasets: gzipped JSON lines, and gzipped texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzipped JSONL file."""
    return [json.loads(line) for line in _unpacked(path).splitlines()]


def read_text(data: Path, name: str, as_it_is: bool = False) -> str:
    """A text of language-model data; lines end in \\n, unless it is wanted as it is."""
    text = _unpacked(data / "lm_text" / f"{name}.txt.gz").decode("utf-8")
    return text if as_it_is else text.replace("\r\n", "\n").replace("\r", "\n")


def _unpacked(path: Path) -> bytes:
    if not path.is_file():
        raise SystemExit(f"{path} does not exist. Name the folder of the datasets: --data DIR")
    with gzip.open(path) as file:
        return file.read()
