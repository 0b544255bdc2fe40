"""Lets `python -m stillhouse` do what `stillhouse` does."""

from __future__ import annotations

from stillhouse.cli.main import main

if __name__ == "__main__":
    main()
