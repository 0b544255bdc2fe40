"""Whole runs at the size of a test: little to read, short timing; run as a module, it is the terminal."""

from __future__ import annotations

from functools import partial

import pytest

from stillhouse.recipes import stages
from stillhouse.training import classroom


def shrink(patch: pytest.MonkeyPatch, checkpoint_every: float = 10.0) -> None:
    """Let stages take a second or so; nothing else about them changes."""
    patch.setattr(stages, "TOKENS", dict.fromkeys(stages.TOKENS, 2e5))
    patch.setattr(stages, "ASSISTANT_TOKENS", 5e4)
    patch.setattr(classroom, "COPIES", 1)
    patch.setattr(stages, "measure_pace", partial(stages.measure_pace, seconds=0.1))
    patch.setattr(stages, "Watch", partial(stages.Watch, checkpoint_every=checkpoint_every))


if __name__ == "__main__":
    from stillhouse.cli.main import main

    shrink(pytest.MonkeyPatch(), checkpoint_every=0.05)
    main()
