"""ServerFile: `stillhouse.toml` in the home folder: who answers at a server, and what is kept of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from stillhouse.data.personal.span import How, Type
from stillhouse.data.terms import Terms, Use
from stillhouse.errors import UsageError
from stillhouse.recipes.toml import fill, read_toml
from stillhouse.storage.records import Durability
from stillhouse.teachers.address import check_address

__all__ = [
    "FILE",
    "CaptureSection",
    "Captured",
    "EvalsSection",
    "ServerFile",
    "TeacherSection",
    "TermsSection",
    "read_server_file",
]

FILE = "stillhouse.toml"
"""Its name in the home folder."""
MOST_LIKELY = 20
"""The most alternatives to a token that the API gives."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEY = re.compile(r"(sk|pk|key|gsk|xai|hf)_[A-Za-z0-9_]{12,}")
"""What could name a variable, but looks like the key itself."""


class Captured(StrEnum):
    """Which calls are kept."""

    ASKED = "asked"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class TermsSection:
    """What a teacher's owner allows to be done with its answers; see `data/terms.py`."""

    allowed: tuple[Use, ...] = tuple(Use)
    attribution: str = ""
    expires: str | None = None
    """The last day on which they hold, such as "2027-01-31"."""
    source: str = ""
    snapshot: str = ""
    models: tuple[str, ...] = ()
    licence: str = ""

    def of(self, teacher: str, models: tuple[str, ...] = ()) -> Terms:
        """The terms of a teacher, which answers under these names too; raises UsageError."""
        return Terms.from_json({**asdict(self), "teacher": teacher, "models": (*self.models, *models)})


@dataclass(frozen=True, kw_only=True)
class TeacherSection:
    """A teacher behind an API: any base URL that speaks OpenAI's chat completions."""

    base_url: str
    key_env: str | None = None
    """The environment variable that holds the key; None: no key is sent."""
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    """By the name that clients ask for, the model's name there. Without any, each of its models is asked for as
    TEACHER/MODEL."""
    price_in: float = 0.0
    """For a million tokens that it reads, in any currency."""
    price_out: float = 0.0
    """For a million tokens that it writes."""
    timeout: float = 600.0
    """Seconds for one answer, to its last word, retries included."""
    retries: int = 2
    connections: int = 256
    """Calls under way at once; as many again may wait."""
    harvest_logprobs: bool | int = False
    """Whether log-probabilities are asked for along with calls that are kept, for soft labels; a number: how many
    alternatives to each token, where an API gives fewer than 20."""
    terms: TermsSection | None = None
    """What may be done with its answers; None: whatever `stillhouse terms` knows of it."""

    def __post_init__(self) -> None:
        if self.terms is not None:
            self.terms.of("teacher")
        check_address(self.base_url, "base_url")
        if self.key_env is not None and (KEY.fullmatch(self.key_env) or not VARIABLE.fullmatch(self.key_env)):
            raise UsageError(
                "key_env is the name of an environment variable, such as OPENAI_API_KEY, not the key itself."
            )
        if min(self.price_in, self.price_out, self.retries) < 0:
            raise UsageError("price_in, price_out and retries must be 0 or more.")
        if self.timeout <= 0 or self.connections < 1:
            raise UsageError("timeout must be more than 0, and connections 1 or more.")
        if not 0 <= self.harvest_logprobs <= MOST_LIKELY:
            raise UsageError(f"harvest_logprobs must be from 0 to {MOST_LIKELY}; it is {self.harvest_logprobs}.")

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which its models answer: those that clients ask for, and those that they have there."""
        return (*self.models, *self.models.values())

    @property
    def alternatives(self) -> int:
        """How many alternatives to each token are asked for; 0: no log-probabilities are."""
        return MOST_LIKELY if self.harvest_logprobs is True else int(self.harvest_logprobs)


@dataclass(frozen=True, kw_only=True)
class CaptureSection:
    """What is kept of calls, and how."""

    calls: Captured = Captured.ASKED
    """Those with `store: true` (asked), or all but `store: false`."""
    durability: Durability = Durability.BATCH
    content: bool = True
    """False: numbers without words, neither of what was asked nor of the answer."""
    ttl_days: float | None = None
    """Days after which stored completions are deleted; None: never."""
    redact: How | None = None
    """What becomes of personal data and secrets before a call is kept; None: they are kept as they are."""
    redact_types: tuple[Type, ...] = ()
    """Which kinds; none named: all but organisations and places."""

    def __post_init__(self) -> None:
        if self.ttl_days is not None and self.ttl_days <= 0:
            raise UsageError(f"ttl_days must be more than 0; it is {self.ttl_days:g}. Leave it out to keep calls.")
        if self.redact_types and self.redact is None:
            raise UsageError(
                'redact_types says which kinds of data, but not what becomes of them: add redact = "redact".'
            )


@dataclass(frozen=True, kw_only=True)
class EvalsSection:
    """How evals are graded, and their runs carried out."""

    python_graders: bool = False
    """Whether graders written in Python are run, each in a sandbox."""
    at_once: int = 8
    """Rows of one run in work at the same time."""

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise UsageError(f"at_once must be 1 or more; it is {self.at_once}.")


@dataclass(frozen=True, kw_only=True)
class ServerFile:
    """All that `stillhouse serve` can be told by a file; paths in it are relative to its folder."""

    students: tuple[Path, ...] = ()
    """Bundles."""
    teacher: str | None = None
    """The name of the model below that answers what students leave."""
    teachers: Mapping[str, TeacherSection] = field(default_factory=dict[str, TeacherSection])
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    """Models that run here, by name: a folder, or an id of the model hub."""
    capture: CaptureSection = field(default_factory=CaptureSection)
    evals: EvalsSection = field(default_factory=EvalsSection)

    def __post_init__(self) -> None:
        for name in self.teachers:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
                raise UsageError(f"The teacher's name {name!r} may hold letters, digits, '.', '_' and '-' only.")

    @property
    def terms(self) -> dict[str, Terms]:
        """The terms that the file has, by the name of the teacher."""
        return {
            name: section.terms.of(name, section.names)
            for name, section in self.teachers.items()
            if section.terms is not None
        }

    @property
    def serves_something(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self.students or self.teachers or self.models)


def read_server_file(home: Path) -> ServerFile:
    """The file in a home folder, an empty one when there is none; raises UsageError naming what is wrong with it."""
    path = home / FILE
    if not path.is_file():
        return ServerFile()
    file = fill(ServerFile, read_toml(path, "The file"), str(path))
    models = {name: str(home / place) if (home / place).is_dir() else place for name, place in file.models.items()}
    return replace(file, students=tuple(home / bundle for bundle in file.students), models=models)
