"""A LoRA student starts as its model, learns by few weights, and becomes a plain model again."""

from __future__ import annotations

import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.layers import blocks, output_head, sizes
from stillhouse.students.lora import Lora, adapters, lora, merge, save_adapted
from tests.models import kinds

every_kind = pytest.mark.parametrize("kind", ["gpt2", "llama", "phi3", "modernbert", "deberta", "vit"])


def learn(model: torch.nn.Module, given: dict[str, torch.Tensor], steps: int = 3) -> None:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        kinds.answer(model, given)[..., 0].mean().backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()


@every_kind
def test_it_starts_as_its_model_and_only_the_new_matrices_learn(kind):
    model, plain = kinds.make(kind), kinds.make(kind)
    given = kinds.inputs(plain)
    student = lora(model, Lora(rank=2))
    assert student is model
    assert torch.equal(kinds.answer(student, given), kinds.answer(plain, given))
    learning = {name for name, weight in student.named_parameters() if weight.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)
    assert sizes(student) == sizes(plain)
    learn(student, given)
    for name, weight in plain.named_parameters():
        prefix, _, kind_of = name.rpartition(".")
        kept = dict(student.named_parameters())
        assert torch.equal(kept.get(name, kept.get(f"{prefix}.base_layer.{kind_of}")), weight)


@every_kind
def test_merged_it_is_a_plain_model_that_answers_the_same_and_can_be_saved(kind, tmp_path):
    plain = kinds.make(kind)
    given = kinds.inputs(plain)
    student = lora(kinds.make(kind), Lora(rank=2, alpha=4.0))
    learn(student, given)
    taught = kinds.answer(student, given)
    assert not torch.allclose(taught, kinds.answer(plain, given), atol=1e-3)
    merged = merge(student)
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert torch.allclose(kinds.answer(merged, given), taught, atol=1e-4)
    merged.save_pretrained(tmp_path)
    assert torch.allclose(kinds.answer(type(plain).from_pretrained(tmp_path).eval(), given), taught, atol=1e-4)
    again = {name: weight.clone() for name, weight in merged.state_dict().items()}
    assert all(torch.equal(weight, again[name]) for name, weight in merge(merged).state_dict().items())
    assert all(weight.requires_grad for weight in merged.parameters())


@pytest.mark.parametrize(("parts", "layers"), [(("attention",), 4), (("ffn",), 3), (("attention", "ffn"), 7)])
def test_parts_are_chosen_by_role(parts, layers):
    student = lora(kinds.make("llama"), Lora(parts=parts))
    assert len(adapters(student)) == layers * len(blocks(student))


def test_the_head_learns_where_asked():
    student = lora(kinds.make("bert-classifier"), Lora(head=True))
    assert all(weight.requires_grad for weight in output_head(student).parameters())
    assert not student.bert.pooler.dense.weight.requires_grad


def test_matrices_beside_half_precision_are_whole():
    student = lora(kinds.make("llama").bfloat16())
    assert {weight.dtype for weight in student.parameters() if weight.requires_grad} == {torch.float32}
    assert student.lm_head.weight.dtype == torch.bfloat16
    learn(student, kinds.inputs(student), steps=1)


def test_the_mode_stays_and_so_does_dropout():
    student = lora(kinds.make("llama"), Lora(dropout=0.5))
    given = kinds.inputs(student)
    learn(student, given)
    assert not any(module.training for module in student.modules())
    assert torch.equal(kinds.answer(student, given), kinds.answer(student, given))
    student.train()
    assert not torch.equal(kinds.answer(student, given), kinds.answer(student, given))


def test_a_second_set_is_refused():
    with pytest.raises(UsageError, match=r"has LoRA matrices already\. Merge them"):
        lora(lora(kinds.make("llama")))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rank": 0}, "LoRA of rank 0"),
        ({"alpha": 0.0}, "an alpha above 0"),
        ({"dropout": 1.0}, "dropout 1.0 cannot be"),
        ({"parts": ()}, r"LoRA parts \[\] are not known; choose of attention, ffn"),
        ({"parts": ("mlp",)}, r"LoRA parts \['mlp'\]"),
    ],
)
def test_what_cannot_be_is_refused(wrong, told):
    with pytest.raises(UsageError, match=told):
        Lora(**wrong)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # by PEFT
def test_saved_apart_the_matrices_give_the_same_answers_beside_their_base(tmp_path):
    from peft import PeftModel
    from transformers import LlamaForCausalLM

    from tests.training.writers import writer

    base, adapted = writer(), lora(writer(), Lora(rank=2))
    for layer in adapters(adapted):
        torch.nn.init.normal_(layer.lora_B["default"].weight)
    base.save_pretrained(tmp_path / "base")
    (tmp_path / "adapters").mkdir()
    save_adapted(adapted, tmp_path / "adapters", str(tmp_path / "base"), Lora(rank=2))
    ids = torch.tensor([[2, 3, 4]])
    with torch.no_grad():
        expected = adapted.eval()(ids).logits
        beside = PeftModel.from_pretrained(base, tmp_path / "adapters").eval()(ids).logits
        assert torch.allclose(beside, expected, atol=1e-5)
        (tmp_path / "whole").mkdir()
        save_adapted(adapted, tmp_path / "whole", str(tmp_path / "adapters"), Lora(rank=2))
        whole = LlamaForCausalLM.from_pretrained(tmp_path / "whole").eval()(ids).logits
    assert torch.allclose(whole, expected, atol=1e-5)
    assert adapters(adapted)
