"""No benchmark, but what those of quality share: options, trials and their intervals, and the JSON they leave."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262}
"""Student's t of a two-sided 95 % interval, by the number of trials."""


def parser_of(description: str | None, peers: str | None = None) -> argparse.ArgumentParser:
    """The options that these benchmarks have in common; `peers` says what the folder of that name holds."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    made.add_argument("--seeds", type=int, choices=sorted(STUDENT_T), default=3, help="trials of each kind")
    made.add_argument("--quick", action="store_true", help="little of everything, in under two minutes: no evidence")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--threads", type=int, default=1, help="threads of a CPU")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("--out", type=Path, help="write the JSON object to this file too")
    if peers:
        made.add_argument("--peers", type=Path, help=peers)
    return made


def begin(options: argparse.Namespace) -> None:
    """Set device, threads and noise, before torch is first used."""
    if options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.disable(logging.WARNING)
    import torch

    torch.set_num_threads(options.threads)
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no GPU here that torch can use. Leave --device out.")
    if getattr(options, "peers", None):
        sys.path.append(str(options.peers.resolve()))


def finish(
    name: str, options: argparse.Namespace, started: float, found: Mapping[str, Any], show: Callable[..., Any]
) -> int:
    """Write what was found, with what it takes to find it again; `show` gives it as lines for people."""
    import torch

    cpu = "bf16 autocast" if precision() == "bf16" else "float32"
    whole = {
        "benchmark": name,
        "command": command(name, options),
        "quick": options.quick,
        "seeds": list(range(options.seeds)),
        "versions": versions(),
        "hardware": {
            "device": torch.cuda.get_device_name() if options.device == "cuda" else platform.machine(),
            "threads": options.threads,
            "training": cpu,
        },
        "seconds": round(time.monotonic() - started),
        **found,
    }
    text = json.dumps(whole, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text if options.json else "\n".join([*show(whole), *goals(whole["targets"])]))
    return 0


def kept(home: Path | None, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a trial found, read from `home` where a run that was stopped had finished it."""
    path = home / f"{name}.json" if home else None
    if path and path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    found = make()
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    return found


def command(name: str, options: argparse.Namespace) -> str:
    """How the benchmark was called, without the paths of a machine."""
    words = ["python", f"benchmarks/{name}.py"]
    words += ["--peers", "PEERS"] if getattr(options, "peers", None) else []
    words += ["--seeds", str(options.seeds)] if options.seeds != 3 else []
    words += ["--quick"] if options.quick else []
    words += ["--device", options.device] if options.device != "cpu" else []
    return " ".join([*words, "--json"])


def versions() -> dict[str, str]:
    """Of what decides the numbers."""
    import stillhouse
    from stillhouse.extras import version

    packages = ("torch", "transformers", "tokenizers", "numpy")
    return {"stillhouse": stillhouse.__version__, "python": platform.python_version()} | {
        package: str(version(package)) for package in packages
    }


def precision() -> Any:
    """The number format that suits this machine."""
    from stillhouse.models.devices import choose

    return choose().precision


def interval(values: Sequence[float]) -> dict[str, Any]:
    """The mean, half the width of its 95 % interval (Student's t over trials), and the trials."""
    half = STUDENT_T[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    return {"mean": statistics.mean(values), "plus_minus": half, "trials": list(values)}


def difference(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """The mean of the trials' differences, paired by seed, and its interval."""
    return interval([one - other for one, other in zip(values, others, strict=True)])


def clear(found: Mapping[str, Any]) -> bool:
    """Whether an interval lies above 0."""
    return found["mean"] - found["plus_minus"] > 0


def words_of(found: Mapping[str, Any], scale: float = 1.0, digits: int = 3) -> str:
    """An interval as people write it."""
    return f"{scale * found['mean']:.{digits}f} ± {scale * found['plus_minus']:.{digits}f}"


def goal(name: str, target: Any, measured: Any, met: bool) -> dict[str, Any]:
    return {"name": name, "target": target, "measured": measured, "met": bool(met)}


def goals(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield ""
    for one in targets:
        measured = f"{one['measured']:.4g}" if isinstance(one["measured"], float) else one["measured"]
        yield f"{'met ' if one['met'] else 'MISS'} {one['name']}: {measured} (target {one['target']})"


def tell(words: str) -> None:
    """A line of progress."""
    print(words, file=sys.stderr, flush=True)
