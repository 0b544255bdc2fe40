"""What the page shows runs on small models, and its table of what can be pruned is true."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from stillhouse.compression.importance import score
from stillhouse.compression.prune import PrunePlan, prune
from stillhouse.errors import UsageError
from stillhouse.models.cost import parameters
from tests.models import kinds, nets
from tests.structure.source import ROOT
from tests.training.pupils import SCHEDULE, pupil, source, task, watch

PAGE = (ROOT / "docs" / "compression-pruning.md").read_text(encoding="utf-8")
ROUNDS, INSIDE, SPARSE = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(piece: str, **known) -> dict:
    exec(compile(piece, "compression-pruning.md", "exec"), known)
    return known


def test_a_model_is_pruned_to_a_budget_in_rounds_and_saved(tmp_path):
    random = np.random.default_rng(0)
    pictures = random.integers(256, size=(40, 16, 16, 3), dtype=np.uint8)
    teacher = kinds.make("vit")
    batches = [{"pixel_values": torch.from_numpy(pictures[:8].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)}]
    found = run(ROUNDS, teacher=teacher, batches=batches, pictures=pictures, folder=tmp_path)
    assert parameters(found["student"]) <= 0.5 * parameters(teacher)
    assert parameters(type(teacher).from_pretrained(tmp_path)) == parameters(found["student"])


def test_a_sparse_model_heals_and_stays_sparse(capsys):
    student = pupil("encoder")
    known = {"student": student, "task": task(), "source": source(), "schedule": SCHEDULE, "watch": watch()}
    shown = task().batch(range(8)).inputs
    run("from stillhouse.objectives import ForwardKL\n" + SPARSE, batches=[shown], **known)
    assert "encoder.encoder.layer.0.output.dense.weight" in capsys.readouterr().out


def test_a_student_is_pruned_inside():
    student = pupil("encoder").eval()
    before = parameters(student)
    run(INSIDE, student=student, batches=[task().batch(range(8)).inputs], score=score, prune=prune, PrunePlan=PrunePlan)
    assert parameters(student) < before


TABLE = re.findall(r"^\| .*\|$", PAGE.split("##")[1], re.MULTILINE)
ROWS = [re.split(r" *\| *", line.strip("| ")) for line in TABLE]
NAMES = {"Llama": "llama", "Mistral": "mistral", "Qwen2": "qwen2", "Qwen3": "qwen3", "Gemma": "gemma"}
NAMES |= {"Phi-3": "phi3", "OLMo-2": "olmo2", "ViT": "vit", "DeiT": "deit", "BERT": "bert", "RoBERTa": "roberta"}
NAMES |= {"MiniLM": "bert", "DistilBERT": "distilbert", "MPNet": "mpnet", "ModernBERT": "modernbert", "GPT-2": "gpt2"}
NAMES |= {"GPT-NeoX": "neox", "DINOv2": "dinov2"}
PLANS = {
    "layers": PrunePlan(layers=2),
    "ffn": PrunePlan(ffn=0.5),
    "heads": PrunePlan(heads=2),
    "width": PrunePlan(width=16),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_what_can_be_pruned(name):
    row = next(row for row in ROWS if name in row[0].split(", "))
    model = kinds.make(NAMES[name])
    scores = score(model, "magnitude")
    for (what, plan), said in zip(PLANS.items(), row[1:5], strict=True):
        if said in ("yes", "with heads"):
            assert parameters(prune(model, plan, scores)) < parameters(model), what
        else:
            with pytest.raises(UsageError):
                prune(model, plan, scores)


def test_the_rest_of_the_table_is_true_too():
    for model in (kinds.make("resnet-basic"), kinds.make("convnext"), nets.mobilenet(1), nets.mobilenet(2)):
        scores = score(model, "magnitude", [{"pixel_values": nets.pixels(1, 32)}])
        assert parameters(prune(model, PrunePlan(channels=0.5), scores)) < parameters(model)
    plain: nn.Module = nets.make(nets.Chain)
    half = prune(plain, PrunePlan(channels=0.5), score(plain, "magnitude", [nets.pixels()]))
    assert parameters(half) < parameters(plain)
