"""The hardware of a run is chosen the same way each time, and says why."""

from __future__ import annotations

import os

import torch

from stillhouse.models.devices import choose


def test_the_same_machine_gives_the_same_answer():
    assert choose() == choose()


def test_the_choice_can_be_used_and_is_explained():
    hardware = choose()
    assert torch.zeros(1, device=hardware.device).item() == 0
    assert hardware.precision in ("no", "bf16")
    assert 1 <= hardware.threads <= (os.cpu_count() or 1)
    assert hardware.reason
