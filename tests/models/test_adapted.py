from __future__ import annotations

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model

from stillhouse.errors import UsageError
from stillhouse.models.adapted import load_writer
from tests.inference.speakers import folder, model, tokenizer

IDS = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("base") / "base")


def adapt(path, base, named: str | None = None) -> torch.Tensor:
    """Write adapters that do something; returns what the adapted model says."""
    made = get_peft_model(model(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    torch.manual_seed(1)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    made.save_pretrained(path)
    settings = path / "adapter_config.json"
    told = json.loads(settings.read_text())
    settings.write_text(json.dumps({**told, "base_model_name_or_path": str(base) if named is None else named}))
    with torch.inference_mode():
        return made.eval()(input_ids=IDS).logits


def logits(loaded) -> torch.Tensor:
    with torch.inference_mode():
        return loaded.model(input_ids=IDS).logits


def test_a_whole_model_is_opened_as_it_is(base):
    loaded = load_writer(str(base))
    assert torch.allclose(logits(loaded), model()(input_ids=IDS).logits, atol=1e-5)


@pytest.mark.filterwarnings("ignore")  # of PEFT, about the base that it does not find
def test_adapters_are_merged_into_their_base(base, tmp_path):
    expected = adapt(tmp_path / "adapters", base)
    loaded = load_writer(str(tmp_path / "adapters"))
    assert torch.allclose(logits(loaded), expected, atol=1e-4)
    assert not torch.allclose(logits(load_writer(str(base))), expected, atol=1e-2)
    assert not any("lora" in name for name, _ in loaded.model.named_modules())
    assert loaded.tokenizer.chat_template == tokenizer().chat_template
    assert not loaded.model.training


@pytest.mark.filterwarnings("ignore")
def test_a_tokenizer_beside_the_adapters_goes_first_and_a_base_may_lie_beside_them(tmp_path):
    base = folder(tmp_path / "base")
    adapt(tmp_path / "adapters", base, named="../base")
    other = tokenizer("{{ 'other' }}")
    other.save_pretrained(tmp_path / "adapters")
    assert load_writer(str(tmp_path / "adapters")).tokenizer.chat_template == "{{ 'other' }}"


@pytest.mark.filterwarnings("ignore")
def test_adapters_that_do_not_fit_are_refused(base, tmp_path):
    adapt(tmp_path / "nowhere", base, named="")
    with pytest.raises(UsageError, match="does not say which model"):
        load_writer(str(tmp_path / "nowhere"))
    adapt(tmp_path / "missing", base, named=str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="gone"):
        load_writer(str(tmp_path / "missing"))
    adapt(tmp_path / "torn", base)
    (tmp_path / "torn" / "adapter_config.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        load_writer(str(tmp_path / "torn"))
