"""A recipe file: TOML whose keys are the options of `stillhouse distill`; unknown keys are refused."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any, cast

from stillhouse.errors import UsageError

__all__ = ["read_options"]


Kind = type[int] | type[float] | type[bool] | type[str] | type[list[str]]
_CALLED: dict[Kind, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list: "a list of texts",
}


def read_options(path: Path, known: dict[str, Kind]) -> dict[str, Any]:
    """The options a recipe file sets, by name with underscores; `known` says which there are and their types.

    Raises UsageError naming the file and the line or key, what was found, and the nearest known key.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {path} is not TOML: {error}.") from error
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" Known are {', '.join(sorted(known))}."
            raise UsageError(f"The recipe {path} sets {key!r}, which is no option.{hint}")
        if not _is(value, known[name]):
            raise UsageError(f"The recipe {path} sets {key} = {value!r}; it must be {_CALLED[known[name]]}.")
    return {key.replace("-", "_"): value for key, value in options.items()}


def _is(value: Any, kind: Kind) -> bool:
    """Whether a TOML value is what an option takes; a whole number will do for a number, true for neither."""
    if kind is list:
        return isinstance(value, list) and all(isinstance(part, str) for part in cast("list[Any]", value))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is kind
