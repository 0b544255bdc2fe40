"""Fine-tuning: what is told of every step, what is kept of every epoch, large models by adapters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from stillhouse.models.adapted import load_writer
from stillhouse.training import fine_tune as module
from stillhouse.training.fine_tune import Match, Tuning, fine_tune
from tests.jobs.writers import chats, pairs, save_base


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return str(save_base(tmp_path_factory.mktemp("base")))


def plan(base: str, folder, **more) -> Tuning:
    given = {"method": "supervised", "epochs": 5, "batch": 4, "rate": 10.0, "beta": 0.1, "seed": 1} | more
    return Tuning(base=base, folder=folder, **given)


def test_every_step_is_told_and_the_last_epochs_are_kept(base, tmp_path):
    told: list[dict] = []
    fine_tune(plan(base, tmp_path), chats(), chats(3), told.append)
    assert told[0]["total"] == 15
    assert [line["step"] for line in told if "step" in line] == list(range(1, 16))
    assert [line["kept"] for line in told if "kept" in line] == [3, 6, 9, 12, 15]
    assert sorted(int(path.name) for path in (tmp_path / "epochs").iterdir()) == [9, 12, 15]
    last = told[-1]
    assert last["kept"] == 15
    assert last["full_valid_loss"] == pytest.approx(last["valid_loss"], rel=1e-5)  # three rows make one batch
    assert last["train_loss"] < told[1]["train_loss"]


def test_what_is_kept_at_the_end_is_what_learnt_longest(base, tmp_path):
    fine_tune(plan(base, tmp_path), chats(), [], lambda line: None)
    kept = [load_file(tmp_path / "epochs" / str(step) / "model.safetensors") for step in (12, 15)]
    start = load_writer(base).model.state_dict()
    moved = [sum(float((each[name] - start[name]).abs().sum()) for name in each) for each in kept]
    assert 0 < moved[0] < moved[1]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by PEFT
def test_a_large_model_learns_by_adapters_that_can_be_learnt_on(base, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 10)
    fine_tune(plan(base, tmp_path / "one", epochs=1), chats(), [], lambda line: None)
    folder = tmp_path / "one" / "epochs" / "3"
    assert (folder / "adapter_model.safetensors").is_file()
    assert not (folder / "model.safetensors").exists()
    tuned, start = load_writer(str(folder)).model, load_writer(base).model
    ids = torch.tensor([[5, 6, 7]])
    assert not torch.allclose(tuned(ids).logits, start(ids).logits)
    fine_tune(plan(str(folder), tmp_path / "two", epochs=1), chats(), [], lambda line: None)
    again = load_writer(str(tmp_path / "two" / "epochs" / "3")).model
    assert not torch.allclose(tuned(ids).logits, again(ids).logits)


def test_the_multiplier_multiplies_and_the_seed_decides(base, tmp_path):
    losses = []
    for number, more in enumerate(({}, {}, {"rate": 20.0}, {"seed": 2})):
        told: list[dict] = []
        fine_tune(plan(base, tmp_path / str(number), epochs=2, **more), chats(), [], told.append)
        losses.append([line["train_loss"] for line in told if "step" in line])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0] != losses[3]


def test_a_teacher_with_other_tokens_is_matched_over_chunks(base, tmp_path):
    other = save_base(tmp_path / "other", seed=3)
    words = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(words.replace("<|pad|>", "<|fill|>"))
    configuration = (other / "tokenizer_config.json").read_text()
    (other / "tokenizer_config.json").write_text(configuration.replace("<|pad|>", "<|fill|>"))
    told: list[dict] = []
    fine_tune(plan(base, tmp_path / "job", match=Match(str(other))), chats(), [], told.append)
    steps = [line["train_loss"] for line in told if "step" in line]
    assert steps[-1] < steps[0]


def test_preferences_begin_at_their_reference(base, tmp_path):
    told: list[dict] = []
    fine_tune(plan(base, tmp_path, method="dpo"), pairs(), pairs(3), told.append)
    steps = [line for line in told if "step" in line]
    assert steps[0]["train_loss"] == pytest.approx(0.6931, abs=1e-3)
    assert steps[-1]["full_valid_reward_margin"] > 0


def test_a_run_that_is_over_tells_nothing_new(base, tmp_path):
    wanted = replace(plan(base, tmp_path, epochs=2), checkpoint_every=0.0)
    fine_tune(wanted, chats(), [], lambda line: None)
    told: list[dict] = []
    fine_tune(wanted, chats(), [], told.append)
    assert [line for line in told if "step" in line] == []
