"""The folder holds all that ONNX Runtime needs, and a graph that answers otherwise is found out."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime_genai
import pytest
from onnx import numpy_helper
from tokenizers import Tokenizer

from stillhouse.errors import UsageError
from stillhouse.export.causal import cache_of
from stillhouse.export.onnx_folder import decode, export_onnx_folder, image_size, open_graph, verify_onnx_folder
from stillhouse.export.verify import Parity, Samples
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.opened import subject
from tests.export.students import TOKENS, TWO, make_bundle
from tests.models import kinds

TEXT = {"model.onnx", "signature.json", "config.json", "tokenizer.json", "tokenizer_config.json"}
FILES = {
    "bert-classifier": TEXT,
    "distilbert": TEXT,
    "vit": {"model.onnx", "signature.json", "config.json"},
    "llama": TEXT | {"genai_config.json", "generation_config.json"},
    "neox": TEXT | {"generation_config.json"},
}
OUTPUTS = {
    "bert-classifier": ["logits"],
    "distilbert": ["last_hidden_state", "sentence_embedding"],
    "vit": ["logits"],
}


def samples(kind: str, rows: int = 6) -> Samples:
    if kind == "vit":
        return Samples(pixels=np.random.default_rng(0).standard_normal((rows, 3, 16, 16), dtype=np.float32))
    draw = np.random.default_rng(0)
    return Samples(ids=tuple(draw.integers(4, 60, size=draw.integers(1, 12)) for _ in range(rows)))


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "neox")) for kind in FILES])
def test_it_stands_alone_and_answers_alike(kind, tmp_path):
    student, out = subject(kind, tmp_path), tmp_path / "out"
    made = export_onnx_folder(student, out)
    assert {path.name for path in made.files} == FILES[kind]
    parity = verify_onnx_folder(student, out, samples(kind))
    assert (parity.agreement, parity.rows) == (1.0, 6)
    assert parity.largest_difference < 1e-4
    told = json.loads((out / "signature.json").read_text())
    assert told["kind"] == student.kind
    if kind in OUTPUTS:
        assert [one["name"] for one in told["outputs"]] == OUTPUTS[kind]
    if student.labels:
        assert told["fields"] == [{"name": None, "temperature": 1.0, "labels": list(student.labels[0])}]
    if kind != "vit":
        assert Tokenizer.from_file(str(out / "tokenizer.json")).encode("refund").ids


@pytest.mark.parametrize(
    "family", [*(pytest.param(each, marks=pytest.mark.slow) for each in ("words", "static")), "encoder"]
)
def test_bundles_tell_their_fields_temperatures_and_reader(family, tmp_path):
    student = open_student(make_bundle(tmp_path / "bundle", family, TWO))
    made = export_onnx_folder(student, tmp_path / "out")
    assert student.manifest is not None
    names = {"model.onnx", "signature.json"} | (set() if family == "words" else {"tokenizer.json"})
    assert {path.name for path in made.files} == names
    told = json.loads((tmp_path / "out" / "signature.json").read_text())
    assert [field["name"] for field in told["fields"]] == ["intent", "priority"]
    assert tuple(field["temperature"] for field in told["fields"]) == student.manifest.temperatures
    assert told["reader"]["max_tokens"] == student.manifest.featurizer.max_tokens
    parity = verify_onnx_folder(student, tmp_path / "out", draw_samples(student))
    assert parity.agreement == 1.0
    assert parity.largest_difference < 1e-5


@pytest.mark.parametrize("keep", ["start", "end"])
def test_which_end_of_long_texts_is_read_is_told(keep, tmp_path):
    export_onnx_folder(open_student(make_bundle(tmp_path / "bundle", "encoder", keep=keep)), tmp_path / "out")
    reader = json.loads((tmp_path / "out" / "signature.json").read_text())["reader"]
    assert reader == {"kind": "tokenizer", "max_tokens": TOKENS, "buckets": 0, "long_texts_keep": keep}


@pytest.mark.parametrize(
    "kind",
    [
        "bert-classifier",
        "vit",
        pytest.param("distilbert", marks=pytest.mark.slow),
        pytest.param("llama", marks=pytest.mark.slow),
    ],
)
def test_a_spoilt_graph_is_found_out(kind, tmp_path):
    student, out = subject(kind, tmp_path), tmp_path / "out"
    export_onnx_folder(student, out)
    model = onnx.load(out / "model.onnx")
    largest = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    spoilt = numpy_helper.to_array(largest)[..., ::-1]
    largest.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(spoilt), largest.name))
    onnx.save(model, out / "model.onnx")
    parity = verify_onnx_folder(student, out, samples(kind))
    assert parity.largest_difference > 1e-3
    assert isinstance(parity, Parity)


@pytest.mark.parametrize(
    "kind", ["llama", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("gpt2", "qwen3", "gemma", "mistral"))]
)
def test_onnxruntime_genai_writes_the_same(kind, tmp_path):
    student, out = subject(kind, tmp_path), tmp_path / "out"
    export_onnx_folder(student, out)
    prompt = np.array([5, 17, 9, 30, 11])
    written, _ = decode(open_graph(out / "model.onnx"), cache_of(student.module), prompt, 10)
    model = onnxruntime_genai.Model(str(out))
    rules = onnxruntime_genai.GeneratorParams(model)
    rules.set_search_options(max_length=15, do_sample=False)
    generator = onnxruntime_genai.Generator(model, rules)
    generator.append_tokens(prompt.tolist())
    found: list[int] = []
    while not generator.is_done():
        generator.generate_next_token()
        found.append(int(generator.get_next_tokens()[0]))
    assert len(found) > 3
    assert found == written[: len(found)], "it ends earlier where the model ends its text"


def test_a_graph_that_cannot_be_opened_is_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"torn")
    with pytest.raises(UsageError, match="cannot be opened by ONNX Runtime"):
        open_graph(tmp_path / "model.onnx")


def test_the_size_of_images_is_the_configurations_or_the_processors(tmp_path):
    assert image_size(subject("vit", tmp_path)) == (3, 16, 16)
    resnet = subject("resnet-basic", tmp_path)
    assert image_size(resnet) == (3, 224, 224)
    for written, size in (
        ({"size": {"height": 20, "width": 30}}, (20, 30)),
        ({"size": {"shortest_edge": 32}}, (32, 32)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}}, (8, 8)),
    ):
        (resnet.folder / "preprocessor_config.json").write_text(json.dumps(written))
        assert image_size(resnet) == (3, *size)
    assert kinds.make("resnet-basic").config.num_channels == 3
    (resnet.folder / "preprocessor_config.json").write_text('{"size": {"longest_edge": 64}}')
    with pytest.raises(UsageError, match="does not say how high and how wide"):
        image_size(resnet)
