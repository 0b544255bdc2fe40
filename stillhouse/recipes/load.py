"""A recipe file: TOML whose keys are the options of `stillhouse distill`; unknown keys are refused."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

from stillhouse.errors import UsageError

__all__ = ["read_options"]


def read_options(path: Path, known: dict[str, type | tuple[type, ...]]) -> dict[str, Any]:
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
        kinds = known[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            wanted = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
            raise UsageError(f"The recipe {path} sets {key} = {value!r}; it must be a {wanted}.")
    return {key.replace("-", "_"): value for key, value in options.items()}
