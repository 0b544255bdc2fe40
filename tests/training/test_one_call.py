"""One call trains any student on plain data; what does not fit is refused with the reason."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import stillhouse
from stillhouse.errors import UsageError
from stillhouse.objectives import (
    DPO,
    CrossEntropy,
    EmbeddingCosine,
    EmbeddingMSE,
    ForwardKL,
    HiddenStates,
    SimilarityPreserving,
    SimPO,
)
from stillhouse.students.static import StaticStudent
from stillhouse.tasks.chat import read_chat
from stillhouse.tasks.embedding import embed, read_texts
from stillhouse.teachers.local import Local
from stillhouse.teachers.other_tokens import OtherTokens
from stillhouse.training.loop import Schedule
from stillhouse.training.one_call import train
from tests.models import tiny
from tests.tasks.talk import talker
from tests.teachers import tongues

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(2, size=60).tolist()
TEXTS = [" ".join(RANDOM.choice(tiny.WORDS[5 * label : 5 * label + 5], 5)) for label in LABELS]
SHORT = Schedule(epochs=12, rate=8.0, warmup=0.05, evaluations=4)


def reader() -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tiny.wordpiece(), pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def classifier(seed: int = 0, labels: int = 2) -> PreTrainedModel:
    torch.manual_seed(seed)
    settings = tiny.SIZES | {"initializer_range": 0.05, "hidden_dropout_prob": 0.0}
    config = BertConfig(**settings, num_labels=labels, id2label={at: f"label {at}" for at in range(labels)})
    return BertForSequenceClassification(config)


def writer(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    size = len(talker())
    config = LlamaConfig(
        vocab_size=size + 19,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def taught() -> nn.Module:
    return train(classifier(), (TEXTS, LABELS), tokenizer=reader(), schedule=SHORT).student


def test_a_classifier_learns_labels(taught):
    done = train(classifier(1), (TEXTS, LABELS), tokenizer=reader(), schedule=SHORT)
    assert done.after["accuracy"] > max(0.9, done.before["accuracy"])
    assert (done.rows, done.held_out, done.steps) == (54, 6, 12 * 4)
    assert not done.student.training
    assert done.seconds > 0
    assert set(done.after) == {"accuracy"}


def test_three_lines_make_a_smaller_student(taught):
    student = stillhouse.shrink(taught, layers=2)
    objective = 0.8 * ForwardKL(temperature=2) + 0.2 * HiddenStates({0: 0, 1: 2})
    done = stillhouse.train(
        student, (TEXTS, LABELS), teacher=taught, objective=objective, tokenizer=reader(), schedule=SHORT
    )
    assert done.student is student
    assert done.after["kl_to_teacher"] < done.before["kl_to_teacher"]
    assert done.after["top1_agreement"] >= 0.9


def test_a_teacher_needs_no_labels(taught):
    student = stillhouse.shrink(taught, layers=1)
    done = train(student, TEXTS, teacher=taught, tokenizer=reader(), schedule=SHORT)
    assert done.after["kl_to_teacher"] < done.before["kl_to_teacher"]
    assert "accuracy" not in done.after


def test_a_teachers_answers_may_be_an_array(taught):
    with torch.no_grad():
        batch = reader()(TEXTS, padding=True, return_tensors="pt")
        told = taught(**{name: batch[name] for name in ("input_ids", "attention_mask")}).logits.numpy()
    student = classifier(2)
    done = train(student, (TEXTS, LABELS), teacher=told, tokenizer=reader(), schedule=SHORT)
    assert done.after["top1_agreement"] >= 0.9
    with pytest.raises(UsageError, match=r"\[60, labels\]"):
        train(student, (TEXTS, LABELS), teacher=told[:5], tokenizer=reader())


def test_an_encoder_gets_a_head():
    done = train(tiny.encoder(), (TEXTS, LABELS), tokenizer=tiny.wordpiece(), schedule=SHORT)
    assert done.after["accuracy"] > 0.8
    assert type(done.student).__name__ == "EncoderStudent"


def test_a_language_model_learns_texts_and_conversations():
    texts = ["the quick brown fox jumps over the lazy dog"] * 12
    long = Schedule(epochs=40, rate=8.0, warmup=0.05, evaluations=2)
    done = train(writer(), texts, tokenizer=talker(), schedule=long)
    assert done.after["accuracy"] > 0.8 > done.before["accuracy"]
    chats = [{"messages": [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "Here."}]}] * 12
    student = stillhouse.shrink(done.student, layers=2)
    taught = train(student, chats, teacher=done.student, objective=ForwardKL(), tokenizer=talker(), schedule=SHORT)
    assert taught.after["kl_to_teacher"] < taught.before["kl_to_teacher"]


def test_an_encoder_learns_vectors():
    teacher = tiny.encoder()
    student = stillhouse.shrink(teacher, layers=2)
    done = train(student, TEXTS, teacher=teacher, tokenizer=reader(), schedule=SHORT)
    assert done.after["cosine"] > done.before["cosine"]
    vectors = embed(teacher.eval(), read_texts(TEXTS, reader())).numpy()
    again = stillhouse.shrink(teacher, layers=1)
    objective = EmbeddingMSE() + SimilarityPreserving()
    kept = train(again, TEXTS, teacher=vectors, objective=objective, tokenizer=reader(), schedule=SHORT)
    assert kept.after["cosine"] > kept.before["cosine"]


def pictures() -> tuple[np.ndarray, np.ndarray]:
    labels = RANDOM.integers(3, size=120)
    made = RANDOM.integers(100, size=(120, 8, 8), dtype=np.uint8)
    for picture, label in zip(made, labels, strict=True):
        picture[2 * label : 2 * label + 2] += 120
    return made, labels


def net(seed: int = 0, width: int = 8) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.ReLU(), nn.Flatten(), nn.Linear(width * 36, 3))


def test_a_plain_module_learns_pictures_and_teaches_another():
    given = pictures()
    teacher = train(net(), given, schedule=Schedule(epochs=6, rate=10))
    assert teacher.after["accuracy"] > 0.9
    student = train(net(1, 2), given[0], teacher=teacher.student, schedule=Schedule(epochs=6, rate=10))
    assert student.after["top1_agreement"] > 0.9


def test_the_same_call_gives_the_same_weights():
    ends = [train(net(), pictures_of_old(), schedule=Schedule(epochs=2)).student.state_dict() for _ in range(2)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def pictures_of_old() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.integers(256, size=(40, 8, 8), dtype=np.uint8), random.integers(3, size=40)


def test_without_a_schedule_few_rows_are_seen_often():
    done = train(net(), pictures_of_old())
    assert done.steps <= 20 * 3
    few = train(net(), tuple(part[:6] for part in pictures_of_old()), schedule=Schedule(epochs=1))
    assert (few.rows, few.held_out) == (6, 0)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: train(classifier(), TEXTS, tokenizer=reader()), "nothing to learn"),
        (lambda: train(tiny.encoder(), TEXTS, tokenizer=reader()), "nothing to learn"),
        (lambda: train(classifier(), [], tokenizer=reader()), "no rows"),
        (lambda: train(classifier(), (TEXTS, LABELS[:3]), tokenizer=reader()), "60 inputs and 3 labels"),
        (lambda: train(classifier(), (TEXTS, LABELS)), "give its tokenizer"),
        (lambda: train(classifier(), "texts.txt", tokenizer=reader()), "a str is neither"),
        (lambda: train(classifier(), [{"messages": []}], tokenizer=reader()), "learns from texts"),
        (lambda: train(classifier(), (TEXTS, [5] * 60), tokenizer=reader()), "go up to 5"),
        (lambda: train(writer(), (TEXTS, LABELS), tokenizer=talker()), "AutoModelForSequenceClassification"),
        (lambda: train(tiny.encoder(), pictures_of_old()), "AutoModelForImageClassification"),
        (lambda: train(net(), pictures_of_old(), objective=ForwardKL()), "does not tell"),
        (lambda: train(model := net(), pictures_of_old(), teacher=model), "share weights"),
    ],
)
def test_what_does_not_fit_is_refused(call, told):
    with pytest.raises(UsageError, match=told):
        call()


GOOD, BAD = "It is on its way. Thank you!", "the quick brown fox jumps over"
PAIRS = [
    {"prompt": f"Where is my parcel {number}? ", "chosen": f"{GOOD} {number}", "rejected": BAD} for number in range(40)
]


@pytest.mark.parametrize("objective", [None, SimPO()], ids=["dpo", "simpo"])
def test_a_writer_learns_which_answers_are_preferred(objective):
    turned = [{"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]} for row in PAIRS]
    long = Schedule(epochs=6, rate=200.0, evaluations=4)
    for data in (PAIRS, turned):
        done = train(writer(), data, tokenizer=talker(), objective=objective, schedule=long)
        assert done.rows == 36
        assert done.after["pair_accuracy_per_token"] == 1.0
        assert ("reward_accuracy" in done.after) == (objective is None)
        if objective is None:
            assert done.before["reward_accuracy"] == 0.5
            assert done.after["reward_accuracy"] == 1.0
            assert done.after["reward_margin"] > 1.0


def test_answers_and_their_reasons_are_learnt_together():
    rows = [{"prompt": f"Is it raining {at}? ", "completion": "Yes", "rationale": "Where is it?"} for at in range(30)]
    done = train(writer(), rows, tokenizer=talker(), schedule=Schedule(epochs=8, rate=50.0, evaluations=4))
    assert done.rows == 27
    assert done.after["accuracy"] > 0.8 > done.before["accuracy"]


def test_pairs_may_be_measured_against_another_model():
    quick = Schedule(epochs=1, evaluations=1)
    done = train(writer(), PAIRS, writer(7), DPO(), talker(), quick)
    assert done.before["reward_margin"] != pytest.approx(0.0, abs=1e-3)
    with pytest.raises(UsageError, match="give one, or none for the student itself"):
        train(writer(), PAIRS, np.zeros((40, 2)), DPO(), talker(), quick)
    with pytest.raises(UsageError, match="the rejected ones too"):
        train(writer(), PAIRS, objective=CrossEntropy(), tokenizer=talker(), schedule=quick)
    with pytest.raises(UsageError, match="give it rows of `prompt`, `chosen` and `rejected`"):
        train(writer(), [GOOD] * 20, objective=SimPO(), tokenizer=talker(), schedule=quick)


def test_a_copied_teacher_is_accepted():
    student = net()
    assert train(student, pictures_of_old(), deepcopy(student), CrossEntropy(), schedule=Schedule(epochs=1)).steps == 3


def test_a_teacher_of_another_family_is_asked_in_its_own_tokens():
    rows, tokenizers = tongues.conversations(30, 0), (tongues.chatml(), tongues.inst())
    student, teacher = tongues.writer(tongues.chatml(), 32, 1, 0), tongues.writer(tongues.inst(), 32, 1, 1)
    quick = Schedule(epochs=2, rate=20.0, evaluations=1)
    done = train(student, rows, teacher, tokenizer=tokenizers, schedule=quick)
    assert set(done.after) == {"accuracy"}
    with pytest.raises(UsageError, match="chunk_likelihood"):
        train(student, rows, teacher, ForwardKL(), tokenizers, quick)
    mine, its = (read_chat(rows, tokenizer, placed=True) for tokenizer in tokenizers)
    again = tongues.writer(tongues.chatml(), 32, 1, 0)
    ready = train(again, rows, OtherTokens(Local(teacher, its), its, mine), tokenizer=tokenizers[0], schedule=quick)
    assert ready.after == done.after


def test_any_student_learns_vectors_from_an_encoder_and_from_what_it_said():
    teacher = tiny.encoder("bert", 3)
    vectors = embed(teacher.eval(), read_texts(TEXTS, reader())).numpy()
    for told in (teacher, vectors):
        torch.manual_seed(0)
        student = StaticStudent(torch.randn(tiny.TOKENS, 16), vectors.shape[1])
        done = train(student, TEXTS, told, EmbeddingCosine(), reader(), SHORT)
        assert done.student is student
        assert done.after["cosine"] > done.before["cosine"] + 0.1
    with pytest.raises(UsageError, match=r"have shape \[9, 32\]"):
        train(student, TEXTS, vectors[:9], EmbeddingCosine(), reader(), SHORT)
