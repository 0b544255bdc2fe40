"""A teacher with another tokenizer speaks of the same answers, in chunks of equal text; students learn from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Projection
from stillhouse.objectives import CrossEntropy, ForwardKL
from stillhouse.objectives.cross_tokenizer import ChunkLikelihood, SharedVocabularyKL, UniversalLogit
from stillhouse.objectives.objective import Objective
from stillhouse.signals.kinds import Kind
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.turns import Counts
from stillhouse.teachers.ensemble import Ensemble
from stillhouse.teachers.local import Local
from stillhouse.teachers.other_tokens import OtherTokens, check_across
from stillhouse.training.loop import Schedule
from stillhouse.training.on_policy import OnPolicy
from stillhouse.training.one_call import train
from stillhouse.training.rollout import Speech
from stillhouse.training.source import Share
from tests.tasks.talk import CALLS, CHAT, talker
from tests.teachers.tongues import ANSWERS, chatml, conversations, inst, writer

SIDES = {"ChatML": chatml, "[INST]": inst, "plain": talker}
CRLF = {"prompt": "two lines: ", "completion": "one\r\ntwo 👍🏽\r\n"}
ROWS = [
    *(
        {"messages": [{"role": "user", "content": "Say it."}, {"role": "assistant", "content": said}]}
        for said in ANSWERS.values()
    ),
    {"messages": CHAT["messages"][1:]},
    CRLF,
    "bare texts, 你好 too",
]


def teacher(rows=ROWS, its=inst, mine=chatml, **settings) -> tuple[OtherTokens, ChatTask, ChatTask]:
    left, right = (read_chat(rows, side(), placed=True, **settings) for side in (mine, its))
    return OtherTokens(Local(writer(its(), 32, 2, 1), right), right, left), left, right


def written(task: ChatTask, row: int, chunks: np.ndarray, most: int) -> list[bytes]:
    """The bytes that the tokens of each chunk of a row write, in `most` chunks; a zero for what ends an answer."""
    read = task.reading
    ends = {passage.closing for passage in read.rows[row].passages}
    pieces = [b""] * most
    for at, chunk in enumerate(chunks.tolist()):
        if chunk >= 0:
            own = read.vocabulary.pieces[int(task.ids[row][at + 1])]
            pieces[chunk] += b"\0" if at + 1 in ends else own
    return [piece.strip() for piece in pieces]


def squeezed(words: list[str]) -> bytes:
    return b"".join("".join(words).encode().split())


@pytest.mark.parametrize("its", SIDES)
@pytest.mark.parametrize("mine", SIDES)
def test_chunks_are_the_same_text_on_both_sides_and_together_the_answers(mine, its):
    asked, left, right = teacher(its=SIDES[its], mine=SIDES[mine])
    told = asked.observe(left.batch(range(len(ROWS))), Layers()).aligned
    assert told.student.shape == left.batch(range(len(ROWS))).labels.shape
    assert told.teacher.shape == told.labels.shape
    answers = [[said] for said in ANSWERS.values()] + [["It is on its way.", "You are welcome."]]
    for row, said in enumerate([*answers, [CRLF["completion"]], [ROWS[-1]]]):
        mine_, its_ = (
            written(left, row, told.student[row], told.chunks),
            written(right, row, told.teacher[row], told.chunks),
        )
        found = b"".join(b"".join(mine_).split())
        if isinstance(ROWS[row], str):  # before the first token there is nothing to ask
            assert squeezed(said).endswith(found.rstrip(b"\0"))
            mine_, its_ = ([piece for piece in side if piece] for side in (mine_, its_))
            assert mine_[-5:] == its_[-5:]
            continue
        assert mine_ == its_
        assert found.replace(b"\0", b"") == squeezed(said)
        assert found.count(b"\0") == len(said), "and what ends them"


@pytest.mark.parametrize("mine", ["ChatML", "plain"])
def test_tokens_of_one_tokenizer_are_chunks_of_their_own(mine):
    asked, left, _ = teacher(mine=SIDES[mine], its=SIDES[mine])
    batch = left.batch(range(len(ROWS)))
    told = asked.observe(batch, Layers()).aligned
    assert torch.equal(told.student, told.teacher)
    assert torch.equal(told.student[:-1] >= 0, batch.labels[:-1] >= 0)
    counted = [int(row.max()) + 1 for row in told.student]
    assert counted[:-1] == [int((labels >= 0).sum()) for labels in batch.labels[:-1]]


def test_scores_are_those_of_the_teachers_own_tokens():
    asked, left, right = teacher()
    told = asked.observe(left.batch([2, 0]), Layers())
    assert isinstance(told.scores, Projection)
    own = right.batch([2, 0])
    assert torch.equal(told.aligned.labels, own.labels)
    assert torch.allclose(
        told.scores.logits(), writer(inst(), 32, 2, 1)(**own.inputs).logits[..., : right.vocabulary], atol=1e-4
    )
    assert told.told is None
    assert asked.tells == {Kind.ALIGNED}


def test_shared_tokens_write_the_same_and_the_ends_are_one():
    asked, left, right = teacher()
    mine, its = asked.observe(left.batch([0]), Layers()).aligned.shared
    *pairs, (end, its_end) = zip(mine.tolist(), its.tolist(), strict=True)
    assert (end, its_end) == (chatml().eos_token_id, inst().eos_token_id)
    assert len(pairs) > 50
    assert all(left.reading.vocabulary.pieces[one] == right.reading.vocabulary.pieces[other] for one, other in pairs)


def test_rows_may_come_in_any_order_and_again():
    asked, left, _ = teacher()
    both = asked.observe(left.batch([4, 1]), Layers()).aligned
    again = asked.observe(left.batch([1, 4]), Layers()).aligned
    assert torch.equal(both.student[[1, 0]], again.student)
    assert torch.equal(both.teacher[[1, 0]], again.teacher)


def test_long_rows_that_lose_their_beginning_are_aligned_at_their_end():
    long = {
        "messages": [{"role": "user", "content": "Say it."}, {"role": "assistant", "content": "你好 the dog " * 20}]
    }
    asked, left, right = teacher([long], tokens=40)
    told = asked.observe(left.batch([0]), Layers()).aligned
    mine, its = written(left, 0, told.student[0], told.chunks), written(right, 0, told.teacher[0], told.chunks)
    both = [(one, other) for one, other in zip(mine, its, strict=True) if one and other]
    assert all(one == other for one, other in both)
    assert both[-1] == (b"\0", b"\0")
    assert len(both) > 5


def test_tool_calls_are_compared_where_both_templates_write_them_alike():
    alike, left, _ = teacher([CALLS], mine=talker, its=talker)
    assert alike.observe(left.batch([0]), Layers()).aligned.student.max() > 10
    apart, left, _ = teacher([CALLS], mine=talker, its=chatml)
    told = apart.observe(left.batch([0]), Layers()).aligned
    assert b"".join(written(left, 0, told.student[0], told.chunks)) == b"Yes,itis.\0".replace(b",i", b",i")


def test_only_a_last_answer_may_count():
    asked, left, _ = teacher([{"messages": CHAT["messages"][1:]}], counts=Counts.LAST_ANSWER)
    told = asked.observe(left.batch([0]), Layers()).aligned
    assert b"".join(written(left, 0, told.student[0], told.chunks)) == b"Youarewelcome.\0"


def test_what_cannot_be_aligned_is_refused():
    asked, left, right = teacher()
    batch = left.batch([0])
    with pytest.raises(UsageError, match="inside"):
        asked.observe(batch, Layers(hidden=frozenset({0})))
    local, few = Local(writer(inst(), 32, 1, 0), right), read_chat(ROWS[:2], inst(), placed=True)
    with pytest.raises(UsageError, match="placed=True"):
        OtherTokens(local, right, read_chat(ROWS, chatml()))
    with pytest.raises(UsageError, match="same rows"):
        OtherTokens(local, few, left)
    with pytest.raises(UsageError, match="count the answers"):
        teacher(ROWS[:2], counts=Counts.EVERYTHING)
    with pytest.raises(UsageError, match="every token"):
        OtherTokens(Local(writer(inst(), 32, 1, 0), right, frozenset({Kind.HIDDEN})), right, left)


def test_texts_that_the_student_wrote_are_refused():
    asked, left, _ = teacher()
    source = OnPolicy(left, asked, range(4), 2, 0, Speech(tokens=4))
    source.begin(writer(chatml(), 32, 1, 0), Layers())
    with pytest.raises(UsageError, match="not an on-policy one"):
        next(iter(source.step(0, 0, Share())))


def test_an_objective_over_the_same_tokens_is_refused_with_those_that_are_not():
    check_across((ChunkLikelihood() + CrossEntropy()).needs)
    with pytest.raises(UsageError, match=r"soft.*chunk_likelihood.*shared_vocabulary_kl.*universal_logit"):
        check_across(ForwardKL().needs)


KNOWN, LEARNT, HELD_OUT = conversations(400, 1), conversations(32, 2), conversations(100, 3)


def surprise(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> float:
    """What an answer of the held-out rows costs, its end included, in nats."""
    task = read_chat(HELD_OUT, tokenizer)
    batch = task.batch(range(len(HELD_OUT)))
    with torch.no_grad():
        logs = task.output(model, batch, Layers()).logits.log_softmax(-1)
    where = batch.labels >= 0
    return -float(logs[where].gather(-1, batch.labels[where].unsqueeze(-1)).sum()) / len(HELD_OUT)


@pytest.fixture(scope="module")
def knowing() -> PreTrainedModel:
    """A teacher that has learnt the language, in its own tokens."""
    schedule = Schedule(epochs=10, rate=20.0, evaluations=2)
    return train(writer(inst(), 64, 2, 5), KNOWN, tokenizer=inst(), schedule=schedule, size=32).student


def taught(objective: Objective, teacher: PreTrainedModel | None = None) -> float:
    """The surprise of a student that has seen few rows."""
    student, schedule = writer(chatml(), 48, 2, 6), Schedule(epochs=60, rate=20.0, evaluations=4)
    tokenizers = chatml() if teacher is None else (chatml(), inst())
    done = train(student, LEARNT, teacher, objective, tokenizers, schedule, 16)
    return surprise(done.student, chatml())


@pytest.mark.slow
def test_a_student_learns_across_tokenizers_what_its_rows_alone_do_not_teach(knowing):
    untaught, control = surprise(writer(chatml(), 48, 2, 6), chatml()), taught(CrossEntropy())
    assert surprise(knowing, inst()) < 0.6 * control < 0.2 * untaught
    assert taught(0.9 * ChunkLikelihood() + 0.1 * CrossEntropy(), knowing) < 0.9 * control
    assert taught(0.5 * SharedVocabularyKL() + 0.5 * CrossEntropy(), knowing) < 0.9 * control
    least = taught(0.5 * UniversalLogit() + 0.5 * CrossEntropy(), knowing)
    assert least < 1.05 * control, "it says how sure to be, not of what: by seed a little better or as good"


def test_teachers_of_one_other_tokenizer_are_mixed():
    left, right = (read_chat(ROWS, side(), placed=True) for side in (chatml, inst))
    mixed = Ensemble([Local(writer(inst(), 32, 1, seed), right) for seed in (0, 1)])
    told = OtherTokens(mixed, right, left).observe(left.batch([0, 1]), Layers())
    said = left.output(writer(chatml(), 32, 1, 2), left.batch([0, 1]), Layers())
    for objective in (ChunkLikelihood(), SharedVocabularyKL(), UniversalLogit()):
        loss = objective(said, told, left.batch([0, 1]))
        assert loss.total.isfinite()
        assert loss.total > 0
        assert loss.count > 3
