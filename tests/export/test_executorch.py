"""Students in ExecuTorch's own runtime; the extra is heavy, so that CI does not install it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stillhouse.errors import MissingExtra, UsageError
from stillhouse.export.executorch import MODEL, SIGNATURE, export_executorch, verify_executorch
from stillhouse.export.verify import Samples
from stillhouse.extras import EXTRAS, installed
from stillhouse.recipes.open_student import open_student
from stillhouse.recipes.samples import draw_samples
from tests.export.students import make_bundle
from tests.models import kinds, tiny


@pytest.fixture
def runtime():
    if not installed("executorch"):
        pytest.skip("needs executorch: pip install executorch")


def opened(kind, folder):
    if kind == "encoder":
        return open_student(make_bundle(folder, kind, precision="float32"))
    return open_student(tiny.save(folder, kinds.make(kind), tiny.wordpiece()))


def few(subject) -> Samples:
    drawn = draw_samples(subject)
    return Samples(drawn.ids[:20], drawn.texts[:20], None if drawn.pixels is None else drawn.pixels[:20])


def test_without_executorch_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(EXTRAS, "executorch", ("no_such_package",))
    with pytest.raises(MissingExtra, match=r"needed to write \.pte files"):
        export_executorch(opened("resnet-basic", tmp_path / "student"), tmp_path / "out")


def test_what_it_does_not_take_is_refused(monkeypatch, tmp_path):
    monkeypatch.setitem(EXTRAS, "executorch", ("numpy",))
    with pytest.raises(UsageError, match="takes: classifier, image, embedding"):
        export_executorch(opened("llama", tmp_path / "llama"), tmp_path / "out")
    image = opened("resnet-basic", tmp_path / "resnet")
    with pytest.raises(UsageError, match="not as 'int4'"):
        export_executorch(image, tmp_path / "out", "int4")
    for subject in (image, opened("encoder", tmp_path / "encoder")):
        with pytest.raises(UsageError, match="calibrated on real images"):
            export_executorch(subject, tmp_path / "out", "int8")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet-basic", "encoder"])
def test_executorch_answers_as_the_student(kind, runtime, tmp_path):
    subject = opened(kind, tmp_path / "student")
    written = export_executorch(subject, tmp_path / "out")
    assert {MODEL, SIGNATURE} <= {file.name for file in written.files}
    assert json.loads((tmp_path / "out" / SIGNATURE).read_text())["kind"] == subject.kind
    found = verify_executorch(subject, tmp_path / "out", few(subject))
    assert found.agreement == 1.0
    assert found.largest_difference < 1e-4


@pytest.mark.slow
def test_images_in_int8_are_calibrated(runtime, tmp_path):
    subject = opened("resnet-basic", tmp_path / "student")
    given = few(subject)
    assert given.pixels is not None
    export_executorch(subject, tmp_path / "out", "int8", calibration=given.pixels)
    export_executorch(subject, tmp_path / "whole")
    assert (tmp_path / "out" / MODEL).stat().st_size < (tmp_path / "whole" / MODEL).stat().st_size
    found = verify_executorch(subject, tmp_path / "out", given)
    assert np.isfinite(found.largest_difference)
    assert found.agreement >= 0.8
