"""The certificate of a bundle repeated on new traffic."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stillhouse.bundle.certificate import Certificate
from stillhouse.data.curate import distinct
from stillhouse.data.traffic import load_traffic
from stillhouse.evaluation.answers import Terms
from stillhouse.evaluation.certificate import recertify
from stillhouse.evaluation.fidelity import judge
from stillhouse.inference.onnx_classifier import OnnxClassifier
from stillhouse.inference.onnx_student import likeliest
from stillhouse.recipes.datasets import datasets_behind

__all__ = ["certify_bundle"]


def certify_bundle(bundle: Path, files: tuple[Path, ...], terms: Terms, *, skip_bad_rows: bool = False) -> Certificate:
    """What new answered calls say of a bundle's student and its threshold; needs no torch.

    An answer that the student cannot give is a disagreement, and a call recorded many times counts once.
    """
    classifier = OnnxClassifier.open(bundle, threads=0)
    manifest = classifier.manifest
    forms = manifest.prompt, manifest.answer
    traffic = load_traffic(files, skip_bad_rows=skip_bad_rows, keep_misfits=True, forms=forms)
    answered = np.flatnonzero(traffic.answered)
    answered = answered[distinct([traffic.texts[row] for row in answered])]
    said = classifier.predict([traffic.texts[row] for row in answered])
    predicted, confidence = likeliest(said.probabilities)
    answers = judge(predicted, confidence, traffic.labels[answered], traffic.truths[answered])
    provenance = {
        "traffic_sha256": traffic.source_hash,
        "student": manifest.files,
        "splits": {"test": int(traffic.answered.sum())},
        "measured": {"test": len(answered)},
        "outside_labels": {"test": int((traffic.labels[answered] < 0).any(axis=1).sum())},
        "left_out": traffic.counts.bad,
        **datasets_behind(files),
    }
    return recertify(answers, manifest.threshold, terms, provenance)
