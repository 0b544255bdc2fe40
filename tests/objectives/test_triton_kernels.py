"""Kernels give what the plain maths give, by Triton's interpreter; without Triton nothing asks for them.

Triton takes 690 MB of disk, so the tests do not bring it; where it is installed the kernels are run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.extras import missing
from stillhouse.objectives.response import ForwardKL
from tests.objectives.matters import language
from tests.structure.source import ROOT

if missing(["triton"]):

    def test_without_triton_the_plain_maths_go_on_and_kernels_cannot_be_demanded(monkeypatch):
        plain = ForwardKL()(*language()).total
        monkeypatch.setenv("STILLHOUSE_KERNELS", "triton")
        with pytest.raises(UsageError, match="Triton is not installed"):
            ForwardKL()(*language())
        monkeypatch.setenv("STILLHOUSE_KERNELS", "auto")
        assert torch.equal(ForwardKL()(*language()).total, plain)

else:

    @pytest.mark.parametrize(("dtype", "slack", "least"), [("float32", 1e-5, 100), ("float64", 1e-12, 40)])
    def test_values_and_gradients_are_those_of_the_plain_maths(dtype, slack, least):
        command = [sys.executable, "-m", "tests.objectives.interpreted", dtype]
        environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert len(found["apart"]) >= least
        assert {name: errors for name, errors in found["apart"].items() if not max(errors) <= slack} == {}
        assert all(found["finite"].values())

    def test_tensors_on_a_cpu_need_the_interpreter(monkeypatch):
        monkeypatch.setenv("STILLHOUSE_KERNELS", "triton")
        with pytest.raises(UsageError, match="device of type cpu"):
            ForwardKL()(*language())
