"""What all tables belong to, and the columns that they share; the tables themselves are in the modules beside this."""

from __future__ import annotations

from sqlalchemy import MetaData, Text
from sqlalchemy.dialects.postgresql import TEXT

__all__ = ["ID", "METADATA"]

METADATA = MetaData()

ID = Text().with_variant(TEXT(collation="C"), "postgresql")
"""An id: compared byte by byte on every database, because pages are cut by it."""
