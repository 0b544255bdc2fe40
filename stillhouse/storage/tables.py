"""The tables, as the newest migration leaves them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from stillhouse.storage.dataset_tables import (
    DATASET_MEDIA,
    DATASET_PARENTS,
    DATASET_USES,
    DATASET_VERSIONS,
    DATASETS,
    SAVED_FILTERS,
)
from stillhouse.storage.feedback_tables import FEEDBACK, REVIEWS
from stillhouse.storage.schema import ID, METADATA
from stillhouse.storage.terms_tables import ERASURE_STEPS, ERASURES, TEACHER_TERMS
from stillhouse.storage.vault_tables import AUDIT_HEAD, AUDIT_LOG, DATA_KEYS, HOLDS, RETENTION_POLICIES, VAULT

__all__ = [
    "API_KEYS",
    "AUDIT_HEAD",
    "AUDIT_LOG",
    "COMPLETIONS",
    "DATASETS",
    "DATASET_MEDIA",
    "DATASET_PARENTS",
    "DATASET_USES",
    "DATASET_VERSIONS",
    "DATA_KEYS",
    "DELETED",
    "DELETED_EVALS",
    "DELETED_FILES",
    "ERASURES",
    "ERASURE_STEPS",
    "EVALS",
    "EVAL_ITEMS",
    "EVAL_RUNS",
    "FEEDBACK",
    "FILES",
    "HOLDS",
    "IDENTITY",
    "KEPT_ANSWERS",
    "METADATA",
    "PROJECTS",
    "RETENTION_POLICIES",
    "REVIEWS",
    "SAVED_FILTERS",
    "TEACHER_TERMS",
    "TERMS",
    "TUNED_MODELS",
    "TUNING_CHECKPOINTS",
    "TUNING_EVENTS",
    "TUNING_JOBS",
    "UPLOADS",
    "UPLOAD_PARTS",
    "VAULT",
    "WORKERS",
    "WORK_ORDERS",
]

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("created", BigInteger, nullable=False),
)
"""Whose a row is: a key of one project reads nothing of another."""

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("project", ID, ForeignKey("projects.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("shown", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("revoked", BigInteger),
    Column("used", BigInteger),
    Index("api_keys_by_digest", "digest", unique=True),
)
"""Keys by the SHA-256 of their secret, which is kept nowhere; times are in Unix seconds."""

COMPLETIONS = Table(
    "completions",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("messages", LargeBinary, nullable=False),
    Column("subject", LargeBinary),
    PrimaryKeyConstraint("project", "id", name="completions_pkey"),
    Index("completions_by_time", "project", "created", "id"),
)
"""Stored completions; `metadata`, `answer` and `messages` are JSON, `subject` is text in UTF-8."""

TERMS = Table(
    "completion_terms",
    METADATA,
    Column("term", LargeBinary, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("id", ID, nullable=False),
    PrimaryKeyConstraint("term", "created", "id", name="completion_terms_pkey"),
    sqlite_with_rowid=False,
)
"""What completions are found by: a row for each model, pair of metadata and subject of one, in the order of pages."""

DELETED = Table(
    "deleted_completions",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "id", name="deleted_completions_pkey"),
)
"""Where deleted completions stood, so that whoever has one as a cursor can go on; nothing of what they said."""

IDENTITY = Table("identity", METADATA, Column("id", ID, primary_key=True))
"""One row: what this database is called, so that its files are told from those of others in the same home folder."""

FILES = Table(
    "files",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", ID, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", ID, nullable=False),
    Column("expires", BigInteger),
    PrimaryKeyConstraint("project", "id", name="files_pkey"),
    Index("files_by_time", "project", "created", "id"),
    Index("files_by_purpose", "project", "purpose", "created", "id"),
    Index("files_by_digest", "digest"),
    Index("files_by_expiry", "expires"),
)
"""Files; their bytes lie in the home folder by the SHA-256 in `digest`."""

DELETED_FILES = Table(
    "deleted_files",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "id", name="deleted_files_pkey"),
)
"""Where deleted files stood, so that whoever has one as a cursor can go on."""

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", ID, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("lasts", BigInteger),
    Column("state", ID, nullable=False),
    Column("file", ID),
    PrimaryKeyConstraint("project", "id", name="uploads_pkey"),
    Index("uploads_by_expiry", "state", "expires"),
)
"""Files that come in parts: how large they shall be, how many seconds they shall last, and what became of them."""

UPLOAD_PARTS = Table(
    "upload_parts",
    METADATA,
    Column("project", ID, nullable=False),
    Column("upload", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", ID, nullable=False),
    PrimaryKeyConstraint("project", "upload", "id", name="upload_parts_pkey"),
    Index("upload_parts_by_digest", "digest"),
)
"""The parts of uploads that are not complete yet; their bytes lie where those of files do."""

EVALS = Table(
    "evals",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "id", name="evals_pkey"),
    Index("evals_by_time", "project", "created", "id"),
    Index("evals_by_update", "project", "updated", "id"),
)
"""Evals; `metadata` and `content` are JSON, and names bytes because they may hold what PostgreSQL's text may not."""

EVAL_RUNS = Table(
    "eval_runs",
    METADATA,
    Column("project", ID, nullable=False),
    Column("eval_id", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("model", LargeBinary),
    Column("metadata", LargeBinary, nullable=False),
    Column("token", Text, nullable=False),
    Column("source", LargeBinary, nullable=False),
    Column("counts", LargeBinary, nullable=False),
    Column("error", LargeBinary),
    Column("chosen", LargeBinary),
    PrimaryKeyConstraint("project", "eval_id", "id", name="eval_runs_pkey"),
    Index("eval_runs_by_time", "project", "eval_id", "created", "id"),
    Index("eval_runs_by_id", "id", unique=True),
)
"""Runs of evals; `chosen` are the ids of the stored completions that a run reads, a JSON array."""

EVAL_ITEMS = Table(
    "eval_items",
    METADATA,
    Column("run_id", ID, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("id", ID, nullable=False),
    Column("status", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run_id", "row", name="eval_items_pkey"),
    Index("eval_items_by_id", "run_id", "id", unique=True),
    Index("eval_items_by_status", "run_id", "status", "row", "id"),
)
"""The rows of runs that are done, by their number in the source; `content` is JSON."""

DELETED_EVALS = Table(
    "deleted_evals",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", "id", name="deleted_evals_pkey"),
)
"""Where deleted evals and runs stood, so that whoever has one as a cursor can go on."""

WORK_ORDERS = Table(
    "work_orders",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("argument", Text, nullable=False),
)
"""Work that no worker has put into its queue yet: written in one transaction with what it is about."""

WORKERS = Table(
    "workers",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("place", ID, nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("ended", Boolean, nullable=False),
)
"""Processes that do work. Each counts its beats; the work of one that has `ended` is anybody's."""

TUNING_JOBS = Table(
    "tuning_jobs",
    METADATA,
    Column("project", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("settled", LargeBinary),
    Column("ends", BigInteger),
    Column("model", ID),
    Column("tokens", BigInteger),
    Column("result_file", Text),
    Column("error", LargeBinary),
    Column("owner", Text),
    PrimaryKeyConstraint("id", name="tuning_jobs_pkey"),
    Index("tuning_jobs_by_time", "project", "created", "id"),
)
"""Fine-tuning jobs; `request`, `settled` and `error` are JSON. `owner` is the worker that is at it."""

TUNING_EVENTS = Table(
    "tuning_events",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("job", ID, nullable=False),
    Column("key", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("level", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", LargeBinary),
    Index("tuning_events_by_key", "job", "key", unique=True),
    Index("tuning_events_by_time", "job", "created", "id"),
)
"""What happened in jobs; an event is told once by its `key`, however often its step is run. `data` is JSON."""

TUNING_CHECKPOINTS = Table(
    "tuning_checkpoints",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("job", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("model", ID, nullable=False),
    Column("metrics", LargeBinary, nullable=False),
    Index("tuning_checkpoints_by_job", "job", "step", unique=True),
)
"""What jobs keep of their last epochs; `metrics` is JSON."""

TUNED_MODELS = Table(
    "tuned_models",
    METADATA,
    Column("name", ID, primary_key=True),
    Column("project", ID, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("job", ID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Index("tuned_models_by_project", "project", "created", "name"),
)
"""Models that jobs made: a language model or a bundle, in a folder of the home folder."""

KEPT_ANSWERS = Table(
    "kept_answers",
    METADATA,
    Column("project", ID, nullable=False),
    Column("place", LargeBinary, nullable=False),
    Column("body", LargeBinary),
    Column("owner", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("status", BigInteger),
    Column("headers", LargeBinary),
    Column("content", LargeBinary),
    PrimaryKeyConstraint("project", "place", name="kept_answers_pkey"),
    Index("kept_answers_by_expiry", "expires"),
)
"""What calls with an idempotency key were answered; those with no `status` are being answered by their `owner`.

`place` is the SHA-256 of path and key, `body` that of what was sent, where it is compared; `headers` is JSON.
"""
