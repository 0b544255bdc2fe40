"""The head of a language model and a divergence of its logits: time, memory and accuracy beside TRL and Liger.

One step is the loss between two heads and its gradients to the student's states and head. Rivals are TRL's
`DistillationTrainer` loss, Liger's fused linear JSD and the formula on dense logits (`naive`, that of TRL's GKD
trainer); `matrix products` are the four products of matrices that no method can do without, and nothing else. Each
measurement is a process of its own, forked after all imports; rivals take turns, and the best of the rounds counts.
CPU-seconds and wall seconds are told; memory is the highest above what was there before the step, with the gradients
(`peak_mb`) and without them (`beyond_gradients_mb`). On a CPU numbers are float32, on a GPU bfloat16; there
`stillhouse` takes Triton kernels where it can, which `path` tells, and `stillhouse plain` the plain maths.

    pip install --no-deps --target PEERS trl==1.16.0 liger-kernel==0.8.5
    pip install --target PEERS datasets        # TRL imports it
    python benchmarks/fused_head.py --peers PEERS --json > benchmarks/results/fused_head.json

Without `--peers` the naive formula is the only rival. `--all` measures every case of the grid, which takes an hour.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.extras import version
from stillhouse.models.outputs import Batch, StudentOutput, TeacherOutput
from stillhouse.models.scores import Projection
from stillhouse.objectives.combine import Response
from stillhouse.objectives.kernels import climber
from stillhouse.objectives.response import ForwardKL, JensenShannon, ReverseKL
from stillhouse.recipes.provenance import versions

MB = 1 << 20
PEERS = {"trl": "trl", "liger": "liger-kernel"}


@dataclass(frozen=True)
class Case:
    """Sizes of a step: `beta` 0 is forward KL, 1 reverse KL, between them Jensen-Shannon; `masked` do not count."""

    positions: int
    labels: int
    beta: float
    masked: float
    widths: tuple[int, int] = (512, 1024)
    rounds: int = 1

    @property
    def floor(self) -> float:
        """FLOP of the student's logits, its two gradients and the teacher's logits, where positions count."""
        student, teacher = self.widths
        return 2 * int(self.told().sum()) * self.labels * (3 * student + teacher)

    def told(self) -> Tensor:
        random = torch.Generator().manual_seed(1)
        return torch.rand(self.positions, generator=random) >= self.masked


@dataclass(frozen=True)
class Given:
    """The student's states and head, leaves of the graph, the teacher's, and which positions count."""

    states: Tensor
    weight: Tensor
    teacher_states: Tensor
    teacher_weight: Tensor
    told: Tensor
    beta: float

    @classmethod
    def of(cls, case: Case, kind: tuple[str, torch.dtype]) -> Given:
        device, dtype = kind
        random = torch.Generator(device).manual_seed(0)

        def some(rows: int, width: int, size: float) -> Tensor:
            return (torch.randn(rows, width, generator=random, device=device) * size).to(dtype)

        student, teacher = case.widths
        return cls(
            some(case.positions, student, 1).requires_grad_(),
            some(case.labels, student, student**-0.5).requires_grad_(),
            some(case.positions, teacher, 1),
            some(case.labels, teacher, 2 * teacher**-0.5),
            case.told().to(device),
            case.beta,
        )

    def double(self) -> Given:
        states, weight = (side.detach().double().requires_grad_() for side in (self.states, self.weight))
        teacher = self.teacher_states.double(), self.teacher_weight.double()
        return Given(states, weight, teacher[0], teacher[1], self.told, self.beta)


Method = Callable[[Given], Tensor]
"""The mean loss over the positions that count."""


def objective_of(beta: float) -> Response:
    return {0.0: ForwardKL(), 1.0: ReverseKL()}.get(beta) or JensenShannon(beta)


def path(device: str, beta: float) -> str:
    """What `stillhouse` computes its loss by on a device."""
    kernels = climber(torch.device(device), [objective_of(beta).cost])
    return "plain maths" if kernels is None else f"triton {version('triton')}"


def stillhouse(given: Given) -> Tensor:
    objective = objective_of(given.beta)
    student, teacher = (
        Projection(states.unsqueeze(0), weight)
        for states, weight in ((given.states, given.weight), (given.teacher_states, given.teacher_weight))
    )
    told = given.told.unsqueeze(0)
    nothing = torch.full_like(told, -1, dtype=torch.long)
    batch = Batch({}, nothing, torch.zeros(1, dtype=torch.long, device=told.device))
    sums = objective(StudentOutput(student), TeacherOutput(teacher, told), batch)
    return sums.total / sums.count


def stillhouse_plain(given: Given) -> Tensor:
    os.environ["STILLHOUSE_KERNELS"] = "plain"  # of this process, which measures nothing else
    return stillhouse(given)


def naive(given: Given) -> Tensor:
    """Both dense logits, then the divergence, then the mask."""
    student = functional.log_softmax(given.states @ given.weight.T, -1)
    with torch.no_grad():
        teacher = functional.log_softmax(given.teacher_states @ given.teacher_weight.T, -1)
    if given.beta == 0:
        apart = functional.kl_div(student, teacher, reduction="none", log_target=True)
    elif given.beta == 1:
        apart = functional.kl_div(teacher, student, reduction="none", log_target=True)
    else:
        share = math.log(given.beta)
        middle = torch.logsumexp(torch.stack([student + math.log1p(-given.beta), teacher + share]), 0)
        of_teacher = functional.kl_div(middle, teacher, reduction="none", log_target=True)
        of_student = functional.kl_div(middle, student, reduction="none", log_target=True)
        apart = given.beta * of_teacher + (1 - given.beta) * of_student
    return apart[given.told].sum() / given.told.sum()


def trl(given: Given) -> Tensor:
    loss = importlib.import_module("trl.trainer.distillation_trainer")._chunked_divergence_loss
    return loss(
        given.states.unsqueeze(0),
        given.teacher_states.unsqueeze(0),
        given.weight,
        given.teacher_weight,
        given.told.unsqueeze(0).long(),
        given.beta,
    )[0]


def liger(given: Given) -> Tensor:
    made = importlib.import_module("liger_kernel.chunked_loss").LigerFusedLinearJSDLoss
    compiled = given.states.device.type == "cuda"  # on a CPU compiling costs minutes and gains nothing
    loss = made(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=given.beta, compiled=compiled)
    labels = torch.where(given.told, 0, -100)
    return loss(given.states, given.weight, given.teacher_states, given.teacher_weight, labels)


def products(given: Given) -> Tensor:
    """The products of matrices alone, 512 positions at a time; the sum has no meaning."""
    states, weight = given.states.detach()[given.told], given.weight.detach()
    its_states = given.teacher_states[given.told]
    given.weight.grad, total = torch.zeros_like(weight), states.new_zeros(())
    buffers = [states.new_empty(512, len(weight)) for _ in range(2)]
    of_states = torch.empty_like(states)
    for start in range(0, len(states), 512):
        part = states[start : start + 512]
        mine, its = (buffer[: len(part)] for buffer in buffers)
        torch.mm(part, weight.T, out=mine)
        torch.mm(its_states[start : start + 512], given.teacher_weight.T, out=its)
        torch.mm(mine, weight, out=of_states[start : start + 512])
        given.weight.grad.addmm_(mine.T, part)
        total += mine[0, 0] + its[0, 0]
    return total.requires_grad_()


METHODS: dict[str, Method] = {
    "stillhouse": stillhouse,
    "stillhouse plain": stillhouse_plain,
    "trl": trl,
    "liger": liger,
    "naive": naive,
    "matrix products": products,
}


def main() -> int:
    arguments = parse(sys.argv[1:])
    started = time.monotonic()
    torch.set_num_threads(arguments.threads)
    methods = available(arguments.peers, arguments.device)
    kind = (arguments.device, torch.bfloat16 if arguments.device == "cuda" else torch.float32)
    rows = [measure_case(case, methods, kind) for case in cases(arguments)]
    errors = {name: accuracy(*small, methods, arguments.device) for name, small in SMALL.items()}
    result = {
        "benchmark": "fused_head",
        "command": "python benchmarks/fused_head.py " + " ".join(sys.argv[1:]),
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else processor(),
        "threads": arguments.threads,
        "dtype": str(kind[1]).removeprefix("torch."),
        "path": {f"beta {beta}": alone(path, arguments.device, beta) for beta in sorted({row["beta"] for row in rows})},
        "versions": versions() | {package: version(package) for name, package in PEERS.items() if name in methods},
        "seconds": round(time.monotonic() - started),
        "cases": rows,
        "errors_against_float64": errors,
        "targets": targets(rows, errors),
    }
    print(json.dumps(result, indent=1) if arguments.json else "\n".join(lines(result)))
    return 0


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="folder that holds the packages to compare with")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of a CPU")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--quick", action="store_true", help="three small cases, one round")
    chosen.add_argument("--all", action="store_true", help="all 36 cases")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args(words)


def available(peers: Path | None, device: str) -> dict[str, Method]:
    """The methods at hand, their packages loaded; on a CPU `stillhouse` itself takes the plain maths."""
    absent = set(PEERS) if peers is None else set()
    if peers is not None:
        sys.path.append(str(peers.resolve()))
        importlib.import_module("trl.trainer.distillation_trainer")
        importlib.import_module("liger_kernel.chunked_loss")
    if device == "cpu":
        absent.add("stillhouse plain")
    return {name: method for name, method in METHODS.items() if name not in absent}


def cases(arguments: argparse.Namespace) -> list[Case]:
    """The grid; large cases are few, as one of them takes a rival minutes on a core."""
    betas, masks = (0.0, 0.5, 1.0), (0.0, 0.5, 0.9)
    if arguments.quick:
        return [Case(512, 32768, beta, 0.5) for beta in betas]
    if arguments.all:
        sizes = [(positions, labels) for labels in (32768, 151936) for positions in (1024, 4096)]
        return [Case(*size, beta, masked) for size in sizes for beta in betas for masked in masks]
    return [
        *(Case(1024, 32768, beta, masked, rounds=2) for beta in betas for masked in masks),
        *(Case(4096, 32768, beta, 0.5) for beta in betas[:2]),
        *(Case(1024, 151936, beta, 0.5) for beta in betas[:2]),
        Case(4096, 151936, 0.5, 0.5),
    ]


def measure_case(case: Case, methods: dict[str, Method], kind: tuple[str, torch.dtype]) -> dict[str, Any]:
    """Every method in turn, round by round; of each its best."""
    tell(f"{case.positions} positions, {case.labels} labels, beta {case.beta}, {case.masked:.0%} masked")
    found: dict[str, list[dict[str, float]]] = {}
    left_out: dict[str, str] = {}
    for _ in range(case.rounds):
        for name, method in methods.items():
            needed = 9 * case.positions * case.labels * 4
            if name == "naive" and kind[0] == "cpu" and needed > 0.7 * free_bytes():
                left_out[name] = f"would take about {needed / MB:,.0f} MB"
                continue
            found.setdefault(name, []).append(alone(measure, method, case, kind))
            tell(f"  {name}: " + ", ".join(f"{key} {value:.4g}" for key, value in found[name][-1].items()))
    best = {name: {key: min(run[key] for run in runs) for key in runs[0]} for name, runs in found.items()}
    del best["matrix products"]["loss"]
    return {
        **asdict(case),
        "floor_gflop": case.floor / 1e9,
        "methods": best,
        "left_out": left_out,
    }


def measure(method: Method, case: Case, kind: tuple[str, torch.dtype]) -> dict[str, float]:
    """One step: seconds and megabytes. Kernels are compiled before, for as many labels."""
    labels = case.labels if kind[0] == "cuda" else 300
    method(Given.of(Case(70, labels, case.beta, 0.5, (16, 32)), kind)).backward()
    given = Given.of(case, kind)
    gradients = (given.states.numel() + given.weight.numel()) * given.weight.element_size() / MB
    peak = Peak(kind[0])
    wall, cpu = time.perf_counter(), time.process_time()
    loss = method(given)
    loss.backward()
    if kind[0] == "cuda":
        torch.cuda.synchronize()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    grown = peak.grown()
    return {
        "cpu_s": cpu,
        "wall_s": wall,
        "peak_mb": grown,
        "beyond_gradients_mb": grown - gradients,
        "loss": loss.item(),
    }


class Peak:
    """The highest that memory rises from here on."""

    def __init__(self, device: str) -> None:
        self._device = device
        if device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            self._before = status("VmRSS")

    def grown(self) -> float:
        now = torch.cuda.max_memory_allocated() if self._device == "cuda" else status("VmHWM")
        return (now - self._before) / MB


def accuracy(case: Case, dtype: torch.dtype, methods: dict[str, Method], device: str) -> dict[str, dict[str, float]]:
    """How far loss and gradients lie from the naive formula in float64 on the same weights, relatively."""
    return {
        name: alone(error, method, case, (device, dtype))
        for name, method in methods.items()
        if name != "matrix products"
    }


def error(method: Method, case: Case, kind: tuple[str, torch.dtype]) -> dict[str, float]:
    given = Given.of(case, kind)
    exact = given.double()
    found = []
    for loss, on in ((method(given), given), (naive(exact), exact)):
        loss.backward()
        found.append({"loss": loss.detach(), "states": on.states.grad, "head": on.weight.grad})
    own, right = found
    return {name: float((own[name].double() - right[name]).norm() / right[name].norm()) for name in own}


SMALL = {
    "float32": (Case(256, 32000, 0.5, 0.5, (256, 512)), torch.float32),
    "bfloat16": (Case(256, 32000, 0.5, 0.0, (1024, 1024)), torch.bfloat16),
}
"""The second is the case of github.com/linkedin/Liger-Kernel/issues/1432."""


def alone(work: Callable[..., Any], *words: Any) -> Any:
    """What a function gives in a process of its own, forked from this one, which has never computed anything."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def run() -> None:
        torch.manual_seed(0)
        writer.send(work(*words))
        os._exit(0)

    process = context.Process(target=run)
    process.start()
    writer.close()
    try:
        return reader.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"{words[0].__name__} died with exit code {process.exitcode}.") from None
    finally:
        process.join()


def status(field: str) -> int:
    """A figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "CPU")


def targets(rows: Sequence[dict[str, Any]], errors: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """What was to be reached, case by case against TRL and the floor."""
    clock = "cpu_s" if "cpu_s" in rows[0]["methods"]["stillhouse"] else "wall_s"
    floors = [ratio(row, clock, "stillhouse", "matrix products") for row in rows]
    goals = [("seconds as a multiple of the matrix products', median", 1.25, statistics.median(floors), False)]
    if "trl" in rows[0]["methods"]:
        faster = [ratio(row, clock, "trl", "stillhouse") for row in rows]
        beyond = [ratio(row, "beyond_gradients_mb", "stillhouse", "trl") for row in rows]
        whole = [ratio(row, "peak_mb", "stillhouse", "trl") for row in rows]
        apart = max(abs(ratio(row, "loss", "stillhouse", "trl") - 1) for row in rows)
        goals += [
            ("times faster than TRL, median of the cases", 3, statistics.median(faster), True),
            ("times faster than TRL, slowest case", 3, min(faster), True),
            ("memory beyond the gradients as a share of TRL's, largest of the cases", 0.2, max(beyond), False),
            ("memory with the gradients as a share of TRL's, largest of the cases", 0.25, max(whole), False),
            ("difference of the loss from TRL's, largest of the cases", 1e-5, apart, False),
        ]
        large = [row for row in rows if row["labels"] >= 128_000]
        if large:
            goals += [("times faster than TRL, vocabulary of 151,936, slowest", 2, min(map(speed, large)), True)]
    worst = max(errors["bfloat16"]["stillhouse"].values())
    goals.append(("error of loss and gradients in bfloat16", 5e-3, worst, False))
    return [
        {"name": name, "target": goal, "measured": measured, "met": measured >= goal if more else measured <= goal}
        for name, goal, measured, more in goals
    ]


def speed(row: dict[str, Any]) -> float:
    return ratio(row, "cpu_s", "trl", "stillhouse")


def ratio(row: dict[str, Any], key: str, above: str, below: str) -> float:
    return row["methods"][above][key] / row["methods"][below][key]


def lines(result: dict[str, Any]) -> Iterator[str]:
    yield f"{result['device']}, {result['threads']} thread(s), {result['dtype']}"
    yield "stillhouse takes " + ", ".join(f"{way} at {case}" for case, way in result["path"].items())
    for row in result["cases"]:
        yield f"\n{row['positions']} positions, {row['labels']} labels, beta {row['beta']}, {row['masked']:.0%} masked"
        for name, found in row["methods"].items():
            loss = f", loss {found['loss']:.6f}" if "loss" in found else ""
            yield (
                f"  {name:<16} {found['cpu_s']:7.2f} CPU-s {found['wall_s']:7.2f} s {found['peak_mb']:6.0f} MB, "
                f"{found['beyond_gradients_mb']:6.0f} beyond the gradients{loss}"
            )
    for name, errors in result["errors_against_float64"].items():
        yield f"\nrelative error in {name}"
        for method, found in errors.items():
            yield f"  {method:<16} " + ", ".join(f"{what} {error:.1e}" for what, error in found.items())
    yield ""
    for goal in result["targets"]:
        yield f"{'met ' if goal['met'] else 'MISS'} {goal['name']}: {goal['measured']:.4g} (target {goal['target']:g})"


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
