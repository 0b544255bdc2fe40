from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest
import torch

from stillhouse.errors import ModelFailed, UsageError
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.decode import Batch, Decoder, Limits
from stillhouse.inference.row import End, Order, Row
from stillhouse.inference.words import Piece
from stillhouse.wire.chat_options import Drawing
from stillhouse.wire.errors import Overloaded
from tests.inference import speakers
from tests.models.writers import SORTS, TOKENS, writer

NEVER = 10**6
"""An end token that no model has, so that answers are as long as asked for."""
WORDS = ChatTokens(speakers.tokenizer(), [NEVER], 512)
GREEDY = Drawing(temperature=0)
PROMPTS = [tuple(range(5, 5 + size)) for size in (3, 17, 1, 9, 30)]


class Heard:
    """What a row told."""

    def __init__(self, order: Order, index: int = 0) -> None:
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.end: End | None = None
        self.over = threading.Event()
        self.row = Row(order, index, WORDS, self.hear)
        take = self.row.take

        def noting(token: int, logprob: float = 0.0, top: Sequence[tuple[int, float]] = ()) -> None:
            self.tokens.append(token)
            self.logprobs.append(logprob)
            take(token, logprob, top)

        self.row.take = noting  # type: ignore[method-assign]

    def hear(self, index: int, event: Piece | End) -> None:
        if isinstance(event, End):
            self.end = event
            self.over.set()


def recomputed(model: torch.nn.Module, prompt: Sequence[int], count: int) -> list[int]:
    """The likeliest tokens, all that came before read anew for each."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def run(batch: Batch, heard: Sequence[Heard]) -> None:
    batch.join([each.row for each in heard])
    while batch.rows:
        batch.step()


@pytest.mark.parametrize("sort", sorted(set(SORTS) - {"mamba"}))
def test_an_answer_is_what_full_recomputation_gives_whoever_is_beside_it(sort):
    model = writer(sort)
    batch = Batch(model)
    heard = [Heard(Order(prompt, 12, GREEDY)) for prompt in PROMPTS]
    for each in [[each] for each in heard] if batch.most else [heard]:
        run(batch, each)
    for prompt, each in zip(PROMPTS, heard, strict=True):
        assert each.tokens == recomputed(model, prompt, 12)
        assert each.end == End("length", 12)
    assert (batch.most is None) == (sort != "falcon-h1 multiplies")
    assert batch.vocabulary == TOKENS


def test_rows_join_and_leave_a_running_batch():
    model = speakers.model()
    batch, waiting = Batch(model), [Heard(Order(prompt, 4 + 7 * at, GREEDY)) for at, prompt in enumerate(PROMPTS * 2)]
    first, sizes = waiting[:2], []
    batch.join([each.row for each in first])
    rest = waiting[2:]
    while batch.rows:
        batch.step()
        sizes.append(len(batch.rows))
        if rest and len(sizes) % 3 == 0:
            batch.join([rest.pop(0).row])
    assert not rest
    assert max(sizes) > 2
    for each in waiting:
        assert each.tokens == recomputed(model, each.row.order.prompt, each.row.order.most)


def test_a_row_takes_the_place_of_one_that_is_over():
    batch = Batch(speakers.model())
    short, long = Heard(Order(PROMPTS[3], 2, GREEDY)), Heard(Order(PROMPTS[1], 30, GREEDY))
    batch.join([short.row, long.row])
    batch.step()
    buffer = batch._cache.layers[0].keys.data_ptr()
    late = Heard(Order(PROMPTS[0], 25, GREEDY))
    batch.join([late.row])
    assert batch.rows == [late.row, long.row]
    assert batch._cache.layers[0].keys.data_ptr() == buffer
    while batch.rows:
        batch.step()
    for each in (short, long, late):
        assert each.tokens == recomputed(speakers.model(), each.row.order.prompt, each.row.order.most)


def test_steady_traffic_does_not_fill_the_memory():
    batch, widths = Batch(speakers.model()), []
    heard = [Heard(Order(PROMPTS[at % 5], 9 + at % 4, GREEDY)) for at in range(40)]
    for each in heard:
        batch.join([each.row])
        for _ in range(4):
            batch.step()
        widths.append(batch._mask.shape[1])
    while batch.rows:
        batch.step()
    assert max(widths) < 2 * (30 + 12) + 5
    for each in heard[-5:]:
        assert each.tokens == recomputed(speakers.model(), each.row.order.prompt, each.row.order.most)


def test_a_row_that_was_left_leaves_the_batch_at_the_next_step():
    batch, heard = Batch(speakers.model()), [Heard(Order(prompt, 50, GREEDY)) for prompt in PROMPTS[:3]]
    batch.join([each.row for each in heard])
    batch.step()
    heard[1].row.leave()
    batch.step()
    assert [row.order.prompt for row in batch.rows] == [PROMPTS[0], PROMPTS[2]]
    assert len(heard[1].tokens) == 2
    while batch.rows:
        batch.step()
    assert heard[2].tokens == recomputed(speakers.model(), PROMPTS[2], 50)


def test_the_same_prompt_is_read_once():
    model, sizes = speakers.model(), []
    forward = model.forward

    def counting(*args, **kwargs):
        sizes.append(tuple(kwargs["input_ids"].shape))
        return forward(*args, **kwargs)

    batch = Batch(model)
    model.forward = counting  # type: ignore[method-assign]
    heard = [Heard(Order(PROMPTS[1], 5, Drawing(seed=1)), index) for index in range(4)]
    run(batch, heard)
    assert sizes == [(1, 17), *[(4, 1)] * 4]
    assert len({tuple(each.tokens) for each in heard}) == 4


def test_a_seed_gives_the_same_answer_whoever_is_beside_it():
    model, order = speakers.model(), Order(PROMPTS[1], 30, Drawing(temperature=1.3, top_p=0.9, seed=5))
    alone, together = Heard(order), Heard(order)
    run(Batch(model), [alone])
    run(Batch(model), [Heard(Order(PROMPTS[4], 9, Drawing(seed=1))), together, Heard(Order(PROMPTS[0], 40))])
    assert together.tokens == alone.tokens
    assert together.tokens != recomputed(model, PROMPTS[1], 30)


def test_logprobs_are_those_of_full_recomputation():
    model, heard = speakers.model(), Heard(Order(PROMPTS[1], 12, Drawing(seed=2), top=3))
    run(Batch(model), [Heard(Order(PROMPTS[4], 12)), heard])
    ids = torch.tensor([[*PROMPTS[1], *heard.tokens]])
    with torch.inference_mode():
        told = model(input_ids=ids).logits[0, len(PROMPTS[1]) - 1 : -1].log_softmax(-1)
    expected = told.gather(-1, torch.tensor(heard.tokens).unsqueeze(-1)).squeeze(-1)
    assert heard.logprobs == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_model_that_remembers_otherwise_is_refused():
    with pytest.raises(UsageError, match="takes no cache"):
        Batch(writer("mamba"))


@pytest.fixture
def decoder():
    made = Decoder(speakers.model(), Limits(rows=4, waiting=3))
    yield made
    made.close()


def test_a_thread_writes_what_is_submitted(decoder):
    heard = [Heard(Order(prompt, 10, GREEDY)) for prompt in PROMPTS[:3]]
    for each in heard:
        decoder.submit([each.row])
    assert all(each.over.wait(10) for each in heard)
    for each, prompt in zip(heard, PROMPTS, strict=False):
        assert each.tokens == recomputed(speakers.model(), prompt, 10)


def test_calls_join_while_others_are_written():
    sizes: list[int] = []
    made = Decoder(speakers.model(), Limits(rows=3), seen=sizes.append)
    long = Heard(Order(PROMPTS[0], 480, GREEDY))
    made.submit([long.row])
    while not long.tokens:
        time.sleep(0.001)
    short = Heard(Order(PROMPTS[1], 3, GREEDY))
    made.submit([short.row])
    assert short.over.wait(10)
    assert long.end is None
    assert long.over.wait(30)
    made.close()
    assert sizes == [1, 2]


def test_more_than_may_wait_are_refused(decoder):
    long = [Heard(Order(PROMPTS[0], 400, GREEDY), index) for index in range(4)]
    decoder.submit([each.row for each in long])
    while not long[-1].tokens:
        time.sleep(0.001)
    waiting = [Heard(Order(PROMPTS[1], 2, GREEDY)) for _ in range(3)]
    for each in waiting:
        decoder.submit([each.row])
    with pytest.raises(Overloaded) as caught:
        decoder.submit([Heard(Order(PROMPTS[1], 2)).row])
    assert (caught.value.status, caught.value.code) == (429, "overloaded")
    assert all(each.over.wait(30) for each in [*long, *waiting])


def test_who_left_while_waiting_is_never_written(decoder):
    long = [Heard(Order(PROMPTS[0], 200, GREEDY), index) for index in range(4)]
    decoder.submit([each.row for each in long])
    while not long[-1].tokens:
        time.sleep(0.001)
    gone, last = Heard(Order(PROMPTS[1], 2)), Heard(Order(PROMPTS[2], 2, GREEDY))
    decoder.submit([gone.row])
    gone.row.leave()
    decoder.submit([last.row])
    assert last.over.wait(30)
    assert gone.tokens == []


def test_a_model_that_breaks_down_fails_these_rows_and_no_others(decoder, caplog):
    beside = Heard(Order(PROMPTS[0], 300, GREEDY))
    decoder.submit([beside.row])
    while not beside.tokens:
        time.sleep(0.001)
    bad = Heard(Order((10**7,), 5, GREEDY))
    decoder.submit([bad.row])
    assert bad.over.wait(10)
    assert isinstance(bad.end.error, ModelFailed)
    assert beside.over.wait(30)
    assert beside.tokens == recomputed(speakers.model(), PROMPTS[0], 300)
    good = Heard(Order(PROMPTS[1], 5, GREEDY))
    decoder.submit([good.row])
    assert good.over.wait(10)
    assert good.tokens == recomputed(speakers.model(), PROMPTS[1], 5)
    assert "failed while it wrote" in caplog.text


def test_closing_ends_what_is_under_way():
    made = Decoder(speakers.model(), Limits(rows=1))
    heard = [Heard(Order(PROMPTS[0], 490)), Heard(Order(PROMPTS[1], 490))]
    for each in heard:
        made.submit([each.row])
    while not heard[0].tokens:
        time.sleep(0.001)
    made.close()
    assert all(isinstance(each.end.error, ModelFailed) for each in heard)


def test_limits_are_checked():
    with pytest.raises(UsageError, match="1 answer or more"):
        Limits(rows=0)


def test_opening_a_folder(taught):
    made, tokens = Decoder.open(str(taught), threads=1)
    made.close()
    assert tokens.context == speakers.POSITIONS
    assert tokens.ends == {2}
    assert made.vocabulary == len(tokens)
