"""Models and plain data find their task: kinds of data, kinds of models, and the numbers of labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from torch import nn
from transformers import AutoModelForCausalLM

from stillhouse.errors import UsageError
from stillhouse.students.encoder import EncoderStudent
from stillhouse.tasks.chat import ChatTask
from stillhouse.tasks.classification import Classification
from stillhouse.tasks.embedding import EmbeddingTask
from stillhouse.tasks.image import ImageTask
from stillhouse.tasks.preference import PreferenceTask
from stillhouse.tasks.rationale import RationaleTask
from stillhouse.training.task_for import task_for
from tests.models import tiny
from tests.tasks.talk import CHAT, talker
from tests.tasks.test_image import GREY, vit
from tests.teachers import tongues
from tests.training.test_one_call import classifier, reader, writer

TEXTS = ["where is my parcel", "refund the money please", "late"]


def labels_of(material) -> list[int]:
    return material.task.labels.reshape(-1).tolist()


@pytest.mark.parametrize(
    ("model", "data", "kind", "labelled", "scored"),
    [
        (classifier, (TEXTS, [0, 1, 0]), Classification, True, True),
        (classifier, TEXTS, Classification, False, True),
        (classifier, [{"text": text, "label": 1} for text in TEXTS], Classification, True, True),
        (tiny.encoder, (TEXTS, [0, 1, 0]), Classification, True, True),
        (tiny.encoder, TEXTS, EmbeddingTask, False, False),
        (tiny.encoder, [{"text": text} for text in TEXTS], EmbeddingTask, False, False),
        (writer, TEXTS, ChatTask, True, True),
        (writer, [CHAT, {"prompt": "a", "completion": "b"}, {"text": "where is"}], ChatTask, True, True),
        (vit, (GREY, [0, 1, 2, 0, 1, 2]), ImageTask, True, True),
        (vit, GREY, ImageTask, False, True),
        (vit, [Image.fromarray(picture) for picture in GREY], ImageTask, False, True),
    ],
)
def test_model_and_data_make_the_task(model, data, kind, labelled, scored):
    found = task_for(model(), data, tokenizer=talker() if model is writer else reader())
    assert isinstance(found.task, kind)
    assert (found.labelled, found.scored) == (labelled, scored)
    assert found.task.batch(range(found.rows)).rows.tolist() == list(range(found.rows))


def test_a_teacher_with_another_tokenizer_reads_for_itself(tmp_path):
    rows, teacher = [CHAT, "where is"], tongues.writer(tongues.chatml(), 32, 1, 0)
    assert task_for(writer(), rows, teacher, talker()).others is None, "where it comes from is not known"
    given = task_for(writer(), rows, teacher, (talker(), tongues.chatml()))
    teacher.save_pretrained(tmp_path)
    tongues.chatml().save_pretrained(tmp_path)
    found = task_for(writer(), rows, AutoModelForCausalLM.from_pretrained(tmp_path), talker())
    for one in (given, found):
        assert one.task.reading is not None
        assert [tongues.chatml().decode(ids) for ids in one.others.ids][1] == "where is<|im_end|>"
    more = talker()
    more.add_tokens(["<more>"])
    assert task_for(writer(), rows, writer(), (talker(), more)).others is None, "all it has the other has, too"
    pairs = [{"prompt": "Where?", "chosen": "Here.", "rejected": "No."}]
    with pytest.raises(UsageError, match="of the same one"):
        task_for(writer(), pairs, teacher, (talker(), tongues.chatml()))


def test_pairs_of_answers_make_a_task_of_their_own():
    found = task_for(writer(), [{"prompt": "Where?", "chosen": "Here.", "rejected": "No."}] * 3, tokenizer=talker())
    assert isinstance(found.task, PreferenceTask)
    assert (found.rows, found.labelled, found.scored) == (3, True, True)
    assert found.task.batch([2, 0]).rows.tolist() == [2, 2, 0, 0]


def test_rows_with_reasons_are_asked_twice():
    rows = [{"prompt": "Where?", "completion": "Here."}, {"prompt": "Why?", "completion": "So.", "rationale": "Thus."}]
    found = task_for(writer(), rows, tokenizer=talker())
    assert isinstance(found.task, RationaleTask)
    assert (found.rows, found.labelled, found.scored) == (2, True, True)
    assert found.task.batch([0, 1]).parts.tolist() == [0, 0, 1]


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_adapted_models_are_what_they_adapt():
    adapted = get_peft_model(tiny.encoder(), LoraConfig(r=2, target_modules=["query"]))
    assert isinstance(task_for(adapted, TEXTS, tokenizer=reader()).task, EmbeddingTask)


def test_labels_are_numbered_as_the_models_number_them():
    named = [{"text": text, "label": label} for text, label in zip(TEXTS, ["label 2", None, "label 1"], strict=True)]
    assert labels_of(task_for(classifier(labels=3), named, tokenizer=reader())) == [2, -1, 1]
    assert labels_of(task_for(tiny.encoder(), named, classifier(labels=3), reader())) == [2, -1, 1]
    assert labels_of(task_for(tiny.encoder(), (TEXTS, ["b", "a", "b"]), tokenizer=reader())) == [1, 0, 1]
    assert labels_of(task_for(tiny.encoder(), (TEXTS, np.array([1, 0, 1])), tokenizer=reader())) == [1, 0, 1]
    assert labels_of(task_for(tiny.encoder(), (TEXTS, torch.tensor([1, -1, 0])), tokenizer=reader())) == [1, -1, 0]


def test_the_teacher_says_how_many_labels_there_are():
    found = task_for(tiny.encoder(), TEXTS, classifier(labels=5), reader())
    assert isinstance(found.student, EncoderStudent)
    assert found.student.head.out_features == 5
    assert task_for(tiny.encoder(), (TEXTS, [0, 1, 0]), np.zeros((3, 4)), reader()).student.head.out_features == 4
    assert task_for(nn.Linear(4, 7), GREY).task.classes == 7


def test_pictures_look_as_the_model_wants_them():
    large = np.repeat(np.repeat(GREY, 2, axis=1), 2, axis=2)
    assert task_for(vit(), large).task.pixels.shape == (6, 1, 8, 8)


def test_the_tokenizer_beside_the_weights_is_found(tmp_path):
    model = tiny.encoder()
    tiny.save(tmp_path, model, tiny.wordpiece())
    loaded = type(model).from_pretrained(tmp_path)
    found = task_for(loaded, TEXTS)
    assert found.task.ids[0].tolist() == tiny.wordpiece().encode(TEXTS[0]).ids
    loaded.config._name_or_path = str(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no tokenizer"):
        task_for(loaded, TEXTS)


def test_long_texts_are_cut_to_the_models_positions():
    found = task_for(tiny.encoder(), ["late " * 200], tokenizer=reader())
    assert found.task.length(0) == tiny.POSITIONS - 2


def test_rows_that_mean_something_else_are_refused():
    with pytest.raises(UsageError, match="need a `text`"):
        task_for(classifier(), [{"picture": 1, "label": 1}], tokenizer=reader())
