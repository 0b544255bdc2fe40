"""Where the figures of a run go: always to `metrics.jsonl`, and to TensorBoard, MLflow, W&B or Trackio on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self, final

from stillhouse.errors import MissingExtra, UsageError
from stillhouse.extras import missing

__all__ = ["TRACKERS", "MetricsFile", "Run", "Tracker", "Tracking"]

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """What a tracker is told about a run before its first figures."""

    name: str
    folder: Path
    """Where the run lies; trackers that write files write them here."""
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    project: str = "stillhouse"


class Tracker(Protocol):
    """One place that figures go to."""

    def log(self, step: int, figures: Figures) -> None:
        """Keep the figures of a step."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


@final
class MetricsFile:
    """A line of JSON per step. A run that goes on from a checkpoint drops the lines of steps that it takes again."""

    def __init__(self, run: Run, step: int) -> None:
        path = run.folder / "metrics.jsonl"
        run.folder.mkdir(parents=True, exist_ok=True)
        before = _lines_before(path, step)
        waiting = path.with_suffix(".writing")
        waiting.write_text("".join(f"{line}\n" for line in before), encoding="utf-8")
        waiting.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, figures: Figures) -> None:
        self._file.write(json.dumps({"step": step, **{name: _plain(value) for name, value in figures.items()}}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _lines_before(path: Path, step: int) -> list[str]:
    """The lines of earlier steps; a line torn by a crash is left out."""
    found: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            if json.loads(line)["step"] < step:
                found.append(line)
        except (ValueError, KeyError):
            continue
    return found


def _plain(value: float) -> float | None:
    """JSON has no word for what is no number."""
    return value if value == value and abs(value) != float("inf") else None


@final
class _TensorBoard:
    """Event files in the run's folder; shown by `tensorboard --logdir`."""

    def __init__(self, run: Run, step: int) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer: Any = writer(str(run.folder / "tensorboard"), purge_step=step)

    def log(self, step: int, figures: Figures) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


@final
class _MLflow:
    """A run of MLflow, where its tracking address points."""

    def __init__(self, run: Run, step: int) -> None:
        self._mlflow: Any = import_module("mlflow")
        self._mlflow.set_experiment(run.project)
        self._run = self._mlflow.start_run(run_name=run.name)
        self._mlflow.log_params(dict(run.settings))

    def log(self, step: int, figures: Figures) -> None:
        self._mlflow.log_metrics(dict(figures), step=step)

    def close(self) -> None:
        self._mlflow.end_run()


@final
class _WandB:
    """A run of Weights & Biases, in whatever mode (online, offline) it is set to."""

    def __init__(self, run: Run, step: int) -> None:
        wandb: Any = import_module("wandb")
        self._run = wandb.init(project=run.project, name=run.name, dir=str(run.folder), config=dict(run.settings))

    def log(self, step: int, figures: Figures) -> None:
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        self._run.finish()


@final
class _Trackio:
    """A run of Trackio, kept on this machine."""

    def __init__(self, run: Run, step: int) -> None:
        self._trackio: Any = import_module("trackio")
        self._trackio.init(project=run.project, name=run.name, config=dict(run.settings))

    def log(self, step: int, figures: Figures) -> None:
        self._trackio.log(dict(figures), step=step)

    def close(self) -> None:
        self._trackio.finish()


TRACKERS: Mapping[str, tuple[str, Callable[[Run, int], Tracker]]] = MappingProxyType(
    {
        "tensorboard": ("tensorboard", _TensorBoard),
        "mlflow": ("mlflow", _MLflow),
        "wandb": ("wandb", _WandB),
        "trackio": ("trackio", _Trackio),
    }
)
"""What figures may go to by name: the package that is needed, and how it is opened at a first step."""


@final
class Tracking:
    """All places that a run's figures go to: give it to `Watch(log=...)` and close it afterwards (`with`).

    Places are opened with the first figures, so that of several processes only the one that logs opens them. Raises
    UsageError for a name it does not know, MissingExtra for a package that is not installed.
    """

    def __init__(self, run: Run, names: Sequence[str] = ()) -> None:
        for name in names:
            if name not in TRACKERS:
                raise UsageError(f"There is no tracker {name!r}; choose {', '.join(TRACKERS)}.")
            package = TRACKERS[name][0]
            if missing([package]):
                raise MissingExtra(
                    f"The package {package} is needed to log to {name}, and is not installed. Install it with: "
                    f"pip install {package}"
                )
        self._run, self._names = run, list(dict.fromkeys(names))
        self._open: list[Tracker] = []

    def __call__(self, step: int, figures: Figures) -> None:
        """Keep the figures of a step everywhere."""
        if not self._open:
            self._open.append(MetricsFile(self._run, step))
            self._open.extend(TRACKERS[name][1](self._run, step) for name in self._names)
        for tracker in self._open:
            tracker.log(step, figures)

    def close(self) -> None:
        """Nothing more comes."""
        while self._open:
            self._open.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()
