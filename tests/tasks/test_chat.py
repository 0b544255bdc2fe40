"""Language models learn the tokens that count, each asked for one position early; packing changes nothing."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Layers
from stillhouse.models.scores import Projection
from stillhouse.objectives import CrossEntropy
from stillhouse.tasks.chat import ChatTask, read_chat
from stillhouse.tasks.turns import Counts
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline
from tests.models.writers import TOKENS, writer
from tests.signals.readers import TEXTS
from tests.tasks.talk import CALLS, CHAT, talker

TALKER = talker()
TASK = read_chat([CHAT, CALLS, {"prompt": "Where is ", "completion": "my parcel?"}, "the lazy dog"], TALKER)


def learnt(task: ChatTask, row: int, tokenizer=TALKER) -> str:
    """The text that a row's labels spell."""
    labels = task.batch([row]).labels[0]
    return tokenizer.decode(labels[labels >= 0])


def test_labels_spell_the_answers():
    assert learnt(TASK, 0) == "It is on its way.<|end|>You are welcome.<|end|>"
    assert learnt(TASK, 1) == '<call>weather {"town": "Ulm"}</call><|end|>Yes, it is.<|end|>'


def test_a_completion_and_a_text_end_with_the_end_token():
    assert learnt(TASK, 2) == "my parcel?<|end|>"
    first = TALKER.decode(TASK.ids[3][:1])
    assert first + learnt(TASK, 3) == "the lazy dog<|end|>"


def test_a_position_asks_for_the_token_after_it():
    batch = TASK.batch([0])
    ids, labels = batch.inputs["input_ids"][0], batch.labels[0]
    asking = (labels >= 0).nonzero().squeeze(-1)
    assert torch.equal(labels[asking], ids[asking + 1])
    begins = TALKER.convert_tokens_to_ids("<|assistant|>")
    assert labels[ids.tolist().index(begins)] == -1, "the assistant's mark is part of the question"
    assert torch.equal(TASK.asked(batch)[0], labels >= 0)


def test_padding_neither_reads_nor_asks():
    batch = TASK.batch([3, 0])
    assert batch.inputs["attention_mask"][0].sum() == TASK.length(3)
    assert (batch.labels[0, TASK.length(3) - 1 :] == -1).all()
    assert batch.inputs["input_ids"].shape[1] % 4 == 0
    assert batch.rows.tolist() == [3, 0]


def test_the_last_answer_or_everything_may_count():
    assert learnt(read_chat([CHAT], TALKER, Counts.LAST_ANSWER), 0) == "You are welcome.<|end|>"
    whole = read_chat([CHAT], TALKER, Counts("everything"))
    assert (whole.batch([0]).labels[0, : whole.length(0) - 1] >= 0).all()


@pytest.mark.parametrize("text", [text for name, text in TEXTS.items() if name != "empty" and "control" not in name])
@pytest.mark.parametrize("trim", [False, True], ids=["whole offsets", "offsets without spaces"])
def test_any_answer_is_learnt_whole(text, trim):
    made = talker(trim=trim)
    answer = text.strip() or "x"
    row = {"messages": [{"role": "user", "content": text or "?"}, {"role": "assistant", "content": answer}]}
    assert learnt(read_chat([row], made), 0, made) == answer + "<|end|>"
    two = {"prompt": "tell: ", "completion": text}
    assert learnt(read_chat([two], made), 0, made) == text + "<|end|>"


def test_a_long_row_loses_its_beginning_and_keeps_its_answer():
    short = read_chat([CHAT], TALKER, Counts.ANSWERS, tokens=12)
    assert short.length(0) == 12
    assert learnt(short, 0).endswith("You are welcome.<|end|>")
    followed = {"messages": [*CHAT["messages"][:3], {"role": "user", "content": "the quick brown fox " * 20}]}
    assert learnt(read_chat([followed], TALKER, tokens=12), 0).endswith("on its way.<|end|>")


def test_the_token_that_begins_every_text_stays():
    made = talker(begin=True)
    task = read_chat(["the quick brown fox jumps over the lazy dog"], made, tokens=6)
    assert task.ids[0][0] == made.bos_token_id
    assert learnt(task, 0, made).endswith("dog<|end|>")
    assert made.bos_token_id not in task.batch([0]).labels


def test_rows_that_cannot_be_learnt_are_named():
    with pytest.raises(UsageError, match=r"Row 1: .*no answer"):
        read_chat([CHAT, {"messages": CHAT["messages"][:1]}], TALKER)
    made = talker()
    made.eos_token = None
    with pytest.raises(UsageError, match="Row 0 is too short"):
        read_chat(["a"], made)


def test_a_tokenizer_without_offsets_is_refused():
    with pytest.raises(UsageError, match="fast tokenizer"):
        read_chat([CHAT], object())


def test_where_tokens_lie_is_kept_if_that_is_wanted():
    rows = [CHAT, CALLS, {"prompt": "Where is ", "completion": "my parcel?"}, "the lazy dog 你好 👍🏽"]
    assert read_chat(rows, TALKER).reading is None
    task = read_chat(rows, TALKER, placed=True)
    pieces = task.reading.vocabulary.pieces
    for ids, counted, placed in zip(task.ids, task.counted, task.reading.rows, strict=True):
        for passage in placed.passages:
            low, high = passage.start, passage.start + len(passage.text)
            inside = (placed.starts >= low) & (placed.ends <= high) & (placed.starts >= 0)
            assert b"".join(pieces[token] for token in ids[inside]) == passage.text
            assert counted[inside].all()
            assert passage.text.startswith(passage.said)
            assert ids[passage.closing] == TALKER.eos_token_id
    texts = [[passage.text.decode() for passage in placed.passages] for placed in task.reading.rows]
    calls = '<call>weather {"town": "Ulm"}</call>'
    assert texts[:3] == [["It is on its way.", "You are welcome."], [calls, "Yes, it is."], ["my parcel?"]]


def test_of_a_row_that_lost_its_beginning_the_rest_is_placed():
    whole, short = (read_chat([CHAT], TALKER, tokens=tokens, placed=True).reading.rows[0] for tokens in (512, 12))
    assert short.starts.tolist() == whole.starts[-12:].tolist()
    assert [passage.closing for passage in short.passages][-1] == 11
    assert short.passages[0].text == whole.passages[0].text


def chat_of(lengths: list[int], packed: bool = False, seed: int = 0) -> ChatTask:
    random = np.random.default_rng(seed)
    ids = [random.integers(4, TOKENS, length) for length in lengths]
    return ChatTask(ids, [random.random(length) < 0.7 for length in lengths], TOKENS, packed=packed)


def test_scores_are_a_projection_over_the_real_vocabulary():
    task = chat_of([5, 9])
    narrow = ChatTask(task.ids, task.counted, 60)
    model, batch = writer(), task.batch([0, 1])
    said = narrow.output(model, batch, Layers())
    assert isinstance(said.scores, Projection)
    own = model(**batch.inputs).logits
    assert torch.allclose(said.logits, own[..., :60], atol=1e-5)


def test_packing_gives_every_row_what_it_gets_alone():
    lengths, model = [12, 3, 5, 7, 1, 9], writer()
    batch = chat_of(lengths).batch(range(6))
    with torch.no_grad():
        apart = chat_of(lengths).output(model, batch, Layers(hidden=frozenset({0, 1}), embedding=True))
        packed = chat_of(lengths, packed=True).output(model, batch, Layers(hidden=frozenset({0, 1}), embedding=True))
    there = batch.inputs["attention_mask"].bool()
    assert packed.logits.shape == apart.logits.shape
    assert torch.allclose(packed.logits[there], apart.logits[there], atol=1e-4)
    for layer in (0, 1):
        assert torch.allclose(packed.features.hidden[layer][there], apart.features.hidden[layer][there], atol=1e-4)
    assert torch.allclose(packed.features.embedding, apart.features.embedding, atol=1e-4)


def test_packing_gives_the_same_gradients():
    lengths, grads = [12, 3, 5, 7], []
    for packed in (False, True):
        model, task = writer(), chat_of(lengths, packed)
        batch = task.batch(range(4))
        logits = task.output(model, batch, Layers()).logits
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=-1).backward()
        grads.append([weight.grad for weight in model.parameters()])
    assert all(torch.allclose(one, two, atol=1e-5) for one, two in zip(*grads, strict=True))


def test_training_packed_gives_the_same_weights():
    ends = []
    for packed in (False, True):
        model, task = writer(), chat_of([12, 3, 5, 7, 9, 4], packed)
        lesson = Lesson(model, task, Offline(task, range(6), 3, 0), CrossEntropy(), [(model, 1e-3)])
        watch = Watch(lambda student: 0.0, lambda done, total, note: None)
        train(lesson, Schedule(epochs=2, evaluations=1), watch)
        ends.append(model.state_dict())
    assert all(torch.allclose(ends[0][name], ends[1][name], atol=1e-5) for name in ends[0])


def test_packing_runs_fewer_tokens():
    seen, model = [], writer()
    model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape))
    task = chat_of([12, 3, 5, 7, 1, 9], packed=True)
    task.output(model, task.batch(range(6)), Layers())
    task.output(model, task.batch(range(6)), Layers())
    assert seen[-2:] == [(4, 12), (4, 12)]
    assert len(seen) == 3 + 2, "whether a model keeps rows apart is tried once"


def test_a_model_that_does_not_keep_rows_apart_is_not_packed():
    task = chat_of([4, 5], packed=True)
    with pytest.raises(UsageError, match="packing"):
        task.output(writer("mamba"), task.batch([0, 1]), Layers())
    with pytest.raises(UsageError, match="without packing"):
        task.output(writer(), task.batch([0, 1]), Layers(attention=frozenset({0})))


def test_real_conversations_with_tool_calls_are_read(shared_data):
    file = shared_data / "chat_formats" / "openai_drone_training.jsonl.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    task = read_chat(rows, TALKER, tokens=4_096)
    assert len(task.ids) == len(rows) == 103
    for row, given in enumerate(rows):
        call = given["messages"][-1]["tool_calls"][0]["function"]
        assert learnt(task, row) == f"<call>{call['name']} {json.dumps(json.loads(call['arguments']))}</call><|end|>"
