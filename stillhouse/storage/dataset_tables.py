"""The tables of datasets: their names, versions, lineage, who learnt from them, and filters that are kept."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table

from stillhouse.storage.schema import ID, METADATA

__all__ = ["DATASETS", "DATASET_MEDIA", "DATASET_PARENTS", "DATASET_USES", "DATASET_VERSIONS", "SAVED_FILTERS"]

DATASETS = Table(
    "datasets",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "name", name="datasets_pkey"),
)
"""Names of datasets; `last` is the highest number that a version of it was ever given, so that none is given twice."""

DATASET_VERSIONS = Table(
    "dataset_versions",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("hash", ID, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("dropped", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("step", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "name", "number", name="dataset_versions_pkey"),
    Index("dataset_versions_by_time", "project", "created", "name", "number"),
)
"""Versions; their rows are Parquet in the home folder. `step` is JSON: what made this version, of what."""

DATASET_PARENTS = Table(
    "dataset_parents",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("parent_name", ID, nullable=False),
    Column("parent_number", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "name", "number", "parent_name", "parent_number", name="dataset_parents_pkey"),
    Index("dataset_parents_by_parent", "project", "parent_name", "parent_number"),
)
"""Which versions were made of which."""

DATASET_MEDIA = Table(
    "dataset_media",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("digest", ID, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "name", "number", "digest", name="dataset_media_pkey"),
    Index("dataset_media_by_digest", "digest"),
)
"""The files that items of a version carry; their bytes lie where those of `files` do."""

DATASET_USES = Table(
    "dataset_uses",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", ID, nullable=False),
    Column("user", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "name", "number", "kind", "user", name="dataset_uses_pkey"),
)
"""What learnt from a version: `kind` says what it is (a bundle, a recipe's run, a job), `user` its folder or id."""

SAVED_FILTERS = Table(
    "saved_filters",
    METADATA,
    Column("project", ID, nullable=False),
    Column("name", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "name", name="saved_filters_pkey"),
)
"""Filters by name; `content` is JSON."""
