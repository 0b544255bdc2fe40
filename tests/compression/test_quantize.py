"""Graphs of fewer bits: smaller, answering as before, served, the same bytes each time; wrong wishes are refused."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnxruntime import InferenceSession

from stillhouse.artifacts import hash_file
from stillhouse.bundle.manifest import Featurizer, read_manifest
from stillhouse.compression.calibrate import Samples
from stillhouse.compression.quantize import bytes_of, quantize
from stillhouse.compression.scheme import Scheme
from stillhouse.errors import UsageError
from stillhouse.export.onnx import export_onnx
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.inference.onnx_student import OnnxStudent
from stillhouse.students.static import StaticStudent
from stillhouse.students.words import WordsStudent
from tests.compression import graphs
from tests.gateway.bundles import make_bundle
from tests.models import tiny
from tests.students.families import student

FORMS = ("int8", "int8+int4", "int8+float32", "int8-static", "int4", "int4+int8", "float16", "bfloat16", "float32+int8")
SAMPLES = {
    "convolutional": Samples([graphs.pictures(seed=seed) for seed in range(4)]),
    "reader": Samples([graphs.ids(seed=seed) for seed in range(4)]),
}
every_form = pytest.mark.parametrize("form", FORMS)


def test_tables_become_integers_and_the_graph_stays_whole(tmp_path):
    export_onnx(WordsStudent(400, 3), tmp_path / "whole.onnx")
    quantize(tmp_path / "whole.onnx", tmp_path / "int8.onnx")
    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 2}
    assert kinds <= {TensorProto.INT8, TensorProto.UINT8}
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "whole.onnx").stat().st_size
    assert {file.name for file in tmp_path.iterdir()} == {"whole.onnx", "int8.onnx"}


@pytest.mark.parametrize(("width", "bits"), [(64, 4), (40, 8)])
def test_embeddings_take_4_bits_where_their_rows_are_made_of_blocks(tmp_path, width, bits):
    torch.manual_seed(0)
    student = StaticStudent(torch.randn(1_000, width), 3)
    export_onnx(student, tmp_path / "whole.onnx")
    for name, embeddings in (("eight", 8), ("four", 4)):
        quantize(tmp_path / "whole.onnx", tmp_path / f"{name}.onnx", Scheme(embeddings=embeddings))
    saved = (tmp_path / "eight.onnx").stat().st_size - (tmp_path / "four.onnx").stat().st_size
    assert saved > 1_000 * width / 3 if bits == 4 else abs(saved) < 1_000
    ids = np.arange(1, 13, dtype=np.int64)[None]
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    whole, four = (InferenceSession(tmp_path / f"{name}.onnx").run(None, feeds)[0] for name in ("whole", "four"))
    assert np.abs(whole - four).max() < 0.1 * np.ptp(whole)


def test_logging_is_left_as_it_was_found_even_after_a_failure(tmp_path, capfd):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    export_onnx(StaticStudent(torch.randn(100, 64), 3), tmp_path / "whole.onnx")
    quantize(tmp_path / "whole.onnx", tmp_path / "four.onnx", Scheme(embeddings=4))
    assert (root.level, root.handlers) == before
    assert "INFO" not in capfd.readouterr().err
    with pytest.raises(FileNotFoundError):
        quantize(tmp_path / "absent.onnx", tmp_path / "int8.onnx")
    assert (root.level, root.handlers) == before


def test_it_is_quiet_also_where_nobody_set_up_logging(tmp_path):
    export_onnx(StaticStudent(torch.randn(100, 64), 3), tmp_path / "whole.onnx")
    code = (
        "import logging; from pathlib import Path; from stillhouse.compression.quantize import quantize; "
        "from stillhouse.compression.scheme import Scheme; "
        f"quantize(Path({str(tmp_path / 'whole.onnx')!r}), Path({str(tmp_path / 'four.onnx')!r}), "
        "Scheme(embeddings=4)); "
        "logging.getLogger('somebody').info('remark'); print(logging.getLogger().handlers)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert "INFO" not in ran.stderr


@pytest.fixture
def whole(tmp_path):
    return graphs.save(graphs.reader(), tmp_path / "whole.onnx")


@every_form
@pytest.mark.parametrize("kind", ["reader", "tied", "convolutional"])
def test_every_form_answers_as_before_in_fewer_bytes(form, kind, tmp_path):
    model = graphs.convolutional() if kind == "convolutional" else graphs.reader("tied" if kind == "tied" else "Gemm")
    source = graphs.save(model, tmp_path / "whole.onnx")
    samples = SAMPLES["convolutional" if kind == "convolutional" else "reader"]
    quantize(source, tmp_path / "small.onnx", Scheme.named(form), samples)
    feed = graphs.pictures(64, seed=9) if kind == "convolutional" else graphs.ids(64, seed=9)
    before, after = graphs.answers(source, feed), graphs.answers(tmp_path / "small.onnx", feed)
    assert graphs.moved(before, after) < (0.2 if "int4" in form else 0.05)
    if kind != "convolutional":
        assert bytes_of(tmp_path / "small.onnx") < bytes_of(source)
    assert {file.name for file in tmp_path.iterdir()} == {"whole.onnx", "small.onnx"}


def test_the_smaller_the_form_the_fewer_the_bytes(whole, tmp_path):
    sizes = {}
    for form in FORMS:
        quantize(whole, tmp_path / "small.onnx", Scheme.named(form), SAMPLES["reader"])
        sizes[form] = bytes_of(tmp_path / "small.onnx") / bytes_of(whole)
    falling = ["float32+int8", "float16", "int8+float32", "int8", "int8+int4", "int4+int8", "int4"]
    assert [*sorted(falling, key=sizes.__getitem__, reverse=True)] == falling
    assert sizes["float32+int8"] < 0.9
    assert sizes["int4"] < 0.2
    assert sizes["float16"] == pytest.approx(sizes["bfloat16"], abs=0.01)
    assert sizes["float16"] < 0.55


def test_convolutions_become_integers_with_their_norms_inside(tmp_path):
    source = graphs.save(graphs.convolutional(), tmp_path / "whole.onnx")
    quantize(source, tmp_path / "small.onnx", Scheme("int8-static"), SAMPLES["convolutional"])
    model = onnx.load(tmp_path / "small.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("QuantizeLinear") >= 3
    scales = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.endswith("_scale")}
    assert any(list(tensor.dims) == [16] for tensor in scales.values()), "a scale per channel"
    assert sum(tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1 for tensor in model.graph.initializer) == 3


@pytest.mark.parametrize("method", ["min-max", "entropy", "percentile"])
def test_every_way_to_find_ranges_answers_as_before(method, tmp_path):
    source = graphs.save(graphs.convolutional(), tmp_path / "whole.onnx")
    quantize(source, tmp_path / "small.onnx", Scheme("int8-static", method=method), SAMPLES["convolutional"])
    feed = graphs.pictures(64, seed=9)
    assert graphs.moved(graphs.answers(source, feed), graphs.answers(tmp_path / "small.onnx", feed)) < 0.1


def test_ranges_of_real_samples_beat_those_of_noise_of_another_size(tmp_path):
    source = graphs.save(graphs.convolutional(), tmp_path / "whole.onnx")
    loud = Samples([{"pixel_values": 30 * graphs.pictures()["pixel_values"]}])
    feed, moved = graphs.pictures(64, seed=9), []
    for samples in (SAMPLES["convolutional"], loud):
        quantize(source, tmp_path / "small.onnx", Scheme("int8-static"), samples)
        moved.append(graphs.moved(graphs.answers(source, feed), graphs.answers(tmp_path / "small.onnx", feed)))
    assert moved[0] < moved[1] / 3


@every_form
def test_the_same_inputs_give_the_same_bytes(form, whole, tmp_path):
    for name in ("one.onnx", "two.onnx"):
        quantize(whole, tmp_path / name, Scheme.named(form), SAMPLES["reader"])
    assert hash_file(tmp_path / "one.onnx") == hash_file(tmp_path / "two.onnx")


@pytest.mark.parametrize("form", ["int8", "int4", "int8-static", "float16"])
def test_nodes_that_are_kept_keep_their_numbers(form, whole, tmp_path):
    kept = ("up", "head")
    quantize(whole, tmp_path / "small.onnx", replace(Scheme.named(form), keep=kept), SAMPLES["reader"])
    model = onnx.load(tmp_path / "small.onnx")
    floats = {name.name for name in model.graph.initializer if name.data_type == TensorProto.FLOAT}
    assert {"up", "head"} <= floats
    assert not {"down", "table"} & floats


def test_arithmetic_in_float16_gives_half_the_bytes(whole, tmp_path):
    quantize(whole, tmp_path / "small.onnx", Scheme("float16", arithmetic=True))
    assert bytes_of(tmp_path / "small.onnx") < 0.6 * bytes_of(whole)
    assert (
        graphs.moved(graphs.answers(whole, graphs.ids()), graphs.answers(tmp_path / "small.onnx", graphs.ids())) < 5e-3
    )


def test_seven_bits_are_narrower_than_eight(whole, tmp_path):
    quantize(whole, tmp_path / "small.onnx", Scheme(narrow=True))
    held = {tensor.name: tensor for tensor in onnx.load(tmp_path / "small.onnx").graph.initializer}
    assert np.abs(onnx.numpy_helper.to_array(held["up_quantized"])).max() <= 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The graphs of two students, exported once."""
    folder = tmp_path_factory.mktemp("exported")
    for family in ("encoder", "static"):
        export_onnx(student(family), folder / family)
    return folder


@every_form
@pytest.mark.parametrize("family", ["encoder", "static"])
def test_a_folder_with_any_form_of_a_student_answers(form, family, exported, tmp_path):
    (tmp_path / "whole.onnx").write_bytes((exported / family).read_bytes())
    tiny.wordpiece().save(str(tmp_path / "tokenizer.json"))
    ids = tiny.ids(64, 12).numpy()
    samples = Samples([{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    quantize(tmp_path / "whole.onnx", tmp_path / "model.onnx", Scheme.named(form), samples)
    featurizer = Featurizer("tokens", max_tokens=32)
    texts = ["refund now please", "where is my parcel", "late", "", "money back"]
    small = OnnxStudent.open(tmp_path, featurizer).logits(texts)
    (tmp_path / "whole.onnx").replace(tmp_path / "model.onnx")
    whole = OnnxStudent.open(tmp_path, featurizer).logits(texts)
    assert graphs.moved(whole, small) < (0.3 if "int4" in form else 0.1)


@every_form
def test_a_bundle_whose_graph_has_any_form_is_served(form, tmp_path):
    bundle = make_bundle(tmp_path / "bundle")
    graph = bundle / "student" / "model.onnx"
    ids = np.random.default_rng(0).integers(0, 4096, (16, 30))
    samples = Samples([{"input_ids": ids, "attention_mask": np.ones_like(ids)}])
    quantize(graph, graph, Scheme.named(form), samples)
    manifest = replace(read_manifest(bundle), files={"student/model.onnx": hash_file(graph)})
    (bundle / "stillhouse.json").write_text(json.dumps(manifest.to_json()), encoding="utf-8")
    answer = OnnxClassifier.open(bundle).predict(["I want a refund now", "where is my parcel"])
    assert answer.probabilities[0].argmax(1).tolist() == [0, 1]


def test_what_cannot_be_done_is_refused_and_nothing_is_written(whole, tmp_path):
    before = sorted(file.name for file in tmp_path.iterdir())
    target = tmp_path / "small.onnx"
    with pytest.raises(UsageError, match="measures activations on samples, and there are none"):
        quantize(whole, target, Scheme("int8-static"))
    with pytest.raises(UsageError, match="another task"):
        quantize(whole, target, Scheme("int8-static"), SAMPLES["convolutional"])
    with pytest.raises(UsageError, match=r"no node attic to be kept.* up, down, head"):
        quantize(whole, target, Scheme(keep=("attic",)))
    assert sorted(file.name for file in tmp_path.iterdir()) == before


def test_a_torn_graph_is_refused(whole, tmp_path):
    whole.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(UsageError, match="no ONNX graph, or was cut off"):
        quantize(whole, tmp_path / "small.onnx")
