"""Several processes that train one student: how they are started, what they know of each other, what each holds."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal, TypeVar, cast, final

import torch
import torch.distributed as dist
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.distributed.rendezvous import rendezvous
from torch.optim import Optimizer

from stillhouse.errors import StillhouseError, UsageError
from stillhouse.models.layers import blocks
from stillhouse.settings import launched, threads, threads_shared_among

__all__ = [
    "Company",
    "count",
    "gathered",
    "handed_out",
    "is_main",
    "launch",
    "leading",
    "load_optimizer",
    "load_state",
    "moving_weights",
    "number",
    "optimizer_state",
    "shard",
    "state_of",
]

Item = TypeVar("Item")
Start = Literal["spawn", "forkserver"]


def launch(
    processes: int, target: Callable[..., Any] | str, arguments: Sequence[Any] = (), start: Start = "spawn"
) -> dict[int, Any]:
    """Run a function (or a program) in so many processes on this machine; what each returned, by its number.

    They find each other by torch's own launcher, as under `torchrun`, so that training in them shares the work. A
    function must be importable (the top of a module). With `forkserver` all begin as copies of one process that has
    imported what they need and done nothing else: quicker from the second launch on. When one fails, all are stopped
    and StillhouseError says which and why. Of a program nothing is returned.
    """
    if processes < 1:
        raise UsageError(f"There must be 1 process or more, not {processes}.")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="stillhouse",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        start_method=start,
    )
    entry, given = (target, tuple(arguments)) if isinstance(target, str) else (_begin, (target, *arguments))
    if start == "forkserver":
        multiprocessing.set_forkserver_preload([__name__, getattr(target, "__module__", __name__)])
    try:
        with threads_shared_among(processes):
            return cast("dict[int, Any]", elastic_launch(config, entry)(*given))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise StillhouseError(
            f"Process {rank} of {processes} ended with exit code {failure.exitcode}: {_reason(failure.message)}"
        ) from error


def _begin(target: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a process of its own, with its share of the threads, which are counted where torch is first imported."""
    if its_own := threads():
        torch.set_num_threads(its_own)
    return target(*arguments)


@final
class Company:
    """The processes that a launcher such as torchrun started, seen by the one that leads, which has rank 0."""

    def __init__(self) -> None:
        self._store, _, self.size = _meet()
        self._handed = False

    def share(self, work: Any, do: Callable[[Any], None]) -> None:
        """Have all others do what they have waited for, once, and do it here; then this process is alone.

        The work is pickled on its way to them.
        """
        self._hand_out(work)
        do(work)
        _part()

    def dismiss(self) -> None:
        """Let those go who still wait: there is nothing to do."""
        if not self._handed:
            self._hand_out(None)

    def _hand_out(self, work: Any) -> None:
        self._store.set(_WORK, pickle.dumps(work))
        self._handed = True


@contextmanager
def leading() -> Generator[Company | None]:
    """The other processes of this one's launcher, while it decides what is to be done; None alone.

    They wait in `handed_out`, at the latest until this closes.
    """
    company = None if launched() is None else Company()
    try:
        yield company
    finally:
        if company is not None:
            company.dismiss()


def handed_out(do: Callable[[Any], None]) -> bool:
    """Whether another process leads; then what it hands out has been waited for, and done unless it was nothing.

    Unlike messages of a training run, which are late after minutes, it may come after days of preparation.
    """
    place = launched()
    if place is None or place[0] == 0:
        return False
    work = pickle.loads(_meet()[0].get(_WORK))
    if work is not None:
        do(work)
        _part()
    return True


_WORK = "stillhouse/work"


def _meet() -> tuple[Any, int, int]:
    """The store that processes of one launcher share, this one's rank, and how many they are."""
    return next(rendezvous("env://", timeout=timedelta(days=7)))


def _part() -> None:
    """From here on this process is alone."""
    if dist.is_initialized():
        dist.destroy_process_group()
    AcceleratorState._reset_state(reset_partial_state=True)


def _reason(message: Any) -> str:
    """The last line of what a process said when it failed."""
    said = message.get("message", message) if isinstance(message, dict) else message
    lines = [line for line in str(said).splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def count() -> int:
    """How many processes train together; 1 alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """Which of them this process is, from 0 on."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process is the one that tells, logs and writes."""
    return number() == 0


def gathered(items: list[Item]) -> list[Item]:
    """The items of all processes, in the order of the processes; all must ask."""
    if count() == 1:
        return items
    found: list[list[Item]] = [[] for _ in range(count())]
    dist.all_gather_object(found, items)
    return [item for some in found for item in some]


def moving_weights(module: nn.Module) -> list[str]:
    """The names in a module's state of what training changes: weights that learn, and buffers."""
    frozen = {name for name, weight in module.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    return [name for name in module.state_dict() if name not in frozen]


def shard(module: nn.Module, device: torch.device) -> nn.Module:
    """Spread a module's weights, gradients and optimizer state over the processes, block by block, in place (FSDP2).

    Zhao et al. 2023, arxiv.org/abs/2304.11277.
    """
    mesh = init_device_mesh(device.type, (count(),))
    for part in module.modules():
        if getattr(getattr(part, "config", None), "num_hidden_layers", 0):
            for block in blocks(part):
                fully_shard(block, mesh=mesh)
            break
    return cast("nn.Module", fully_shard(module, mesh=mesh))


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """Copies of what training changes in a module; of a sharded one whole, on the CPU, once all processes ask."""
    names = moving_weights(module)
    if isinstance(module, FSDPModule):
        whole = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
        return {name: cast("Tensor", whole[name]).detach().cpu() for name in names}
    state = module.state_dict()
    return {name: state[name].detach().clone() for name in names}


def load_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put back what `state_of` gave; what training does not change stays as it is."""
    if isinstance(module, FSDPModule):
        set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True, strict=False))
    else:
        module.load_state_dict({**module.state_dict(), **state})


def optimizer_state(module: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """The state of a module's optimizer; of a sharded one whole in the main process, once all ask."""
    if isinstance(module, FSDPModule):
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return cast("dict[str, Any]", get_optimizer_state_dict(module, optimizer, options=options))
    return optimizer.state_dict()


def load_optimizer(module: nn.Module, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Put back what `optimizer_state` gave."""
    if isinstance(module, FSDPModule):
        set_optimizer_state_dict(module, optimizer, cast("Any", state), options=StateDictOptions(full_state_dict=True))
    else:
        optimizer.load_state_dict(state)
