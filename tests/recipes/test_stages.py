"""What a stage leaves behind, and what makes it be done anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from stillhouse.inference.onnx_student import OnnxStudent
from stillhouse.models.devices import choose
from stillhouse.models.load import fingerprint
from stillhouse.recipes.cache import StageCache
from stillhouse.recipes.material import gather
from stillhouse.recipes.recipe import DistillRecipe
from stillhouse.recipes.stages import Stages
from stillhouse.students.ladder import Rung
from stillhouse.students.trained import load_trained
from stillhouse.training.classroom import Classroom
from stillhouse.training.events import silent


def opened(plain: Path, home: Path, encoder: Path | None = None, seed: int = 0, freeze: int = 0) -> Stages:
    recipe = DistillRecipe(traffic=(plain / "calls.jsonl",), out=home / "x", seed=seed)
    lessons = gather(recipe, home / "bad").lessons
    room = Classroom(lessons, str(encoder) if encoder else None, seed, choose(), freeze=freeze)
    return Stages(StageCache(home, silent), room, fingerprint(str(encoder)) if encoder else None)


@pytest.fixture(scope="module")
def stages(plain, tiny_encoder, tmp_path_factory) -> Stages:
    return opened(plain, tmp_path_factory.mktemp("home"), tiny_encoder)


def test_the_assistant_speaks_about_every_lesson(stages):
    assistant = stages.assistant()
    teacher = np.load(assistant.path / "teacher.npy")
    assert teacher.shape == (len(stages.room.pool), 3)
    assert len(teacher) >= len(stages.lessons.train)
    assert np.isfinite(teacher).all()


SLOWLY = [pytest.param(rung, marks=pytest.mark.slow) for rung in (Rung("static"), Rung("encoder", 2))]


@pytest.mark.parametrize("rung", [Rung("words"), Rung("encoder", 1), *SLOWLY], ids=str)
def test_a_candidate_is_complete_and_is_found_again(rung, stages):
    candidate, again = (stages.candidate(rung, stages.assistant()) for _ in range(2))
    assert candidate == again
    files = {path.name for path in candidate.served_files}
    assert files == {"model.onnx"} | ({"tokenizer.json"} if rung.family != "words" else set())
    assert candidate.parity.agreement >= 0.95
    assert len(candidate.temperatures) == 1
    assert candidate.parameters > 0
    student = candidate.open(threads=1)
    assert isinstance(student, OnnxStudent)
    assert student.logits(["where is thing0", "matter1"]).shape == (2, 3)
    assert np.array_equal(student.logits(stages.lessons.selection.texts), candidate.scores)
    trained, build = load_trained(candidate.artifact.path)
    assert (build.family, build.labels) == (rung.family, 3)
    assert [path.name for path in candidate.trained_files] == ["student.safetensors", "student.json"]
    assert sum(weight.numel() for weight in trained.parameters()) == candidate.parameters
    assert not [path for path in candidate.artifact.path.iterdir() if path.name == ".float32"]


def test_the_assistant_keeps_what_is_frozen(plain, tiny_encoder, tmp_path):
    stages = opened(plain, tmp_path, tiny_encoder, freeze=1)
    before = stages.room.assistant().student.state_dict()
    after = load_file(stages.assistant().path / "weights.safetensors")
    changed = {name for name, weight in after.items() if not weight.equal(before[name])}
    assert any("layer.1." in name for name in changed)
    assert not any("layer.0." in name or "word_embeddings" in name for name in changed)


def test_a_pace_is_plain_numbers(stages):
    pace = stages.pace(stages.candidate(Rung("words"), stages.assistant()))
    assert 0 < pace.latency_ms_p50 <= pace.latency_ms_p95
    assert pace.throughput_per_s > 0


def test_a_stage_depends_on_seed_encoder_and_frozen_layers(plain, tiny_encoder, tmp_path):
    for encoder, seed, freeze in ((None, 0, 0), (None, 1, 0), (tiny_encoder, 0, 0), (tiny_encoder, 0, 1)):
        opened(plain, tmp_path, encoder, seed, freeze).candidate(Rung("words"), None)
    made = list((tmp_path / "stages").glob("words-*"))
    assert len(made) == 4
    inputs = [json.loads((path / ".stage.json").read_text())["inputs"] for path in made]
    assert {each["encoder"] is None for each in inputs} == {True, False}
