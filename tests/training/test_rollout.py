"""What a model writes follows from prompt and draws, as if it were alone and had no cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel

from stillhouse.errors import UsageError
from stillhouse.models.outputs import Batch
from stillhouse.training.rollout import Speech, ends, prompts, speak
from tests.training import writers

PROMPTS = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [4], [2, 3, 4, 5], [20, 21]]
STOPS = frozenset({0, 1, 2, 3})
TOKENS = 12
DRAWS = np.random.default_rng(0).random((len(PROMPTS), TOKENS))


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3)
    config.bos_token_id = config.eos_token_id = 1
    return GPT2LMHeadModel(config)


def gemma() -> Gemma3ForCausalLM:
    """Half of its blocks see only so many tokens back."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Gemma3TextConfig(vocab_size=24, head_dim=8, num_key_value_heads=1, sliding_window=4, **sizes)
    config.initializer_range = 0.3
    return Gemma3ForCausalLM(config)


MODELS = {"llama": writers.writer, "gpt2": gpt2, "gemma": gemma}
every_model = pytest.mark.parametrize("model", MODELS)


@torch.no_grad()
def by_hand(model, prompt: list[int], draws: np.ndarray) -> list[int]:
    """Token after token, the whole text anew each time."""
    said: list[int] = []
    for draw in draws:
        logits = model(torch.tensor([[*prompt, *said]]), use_cache=False).logits[0, -1]
        summed = logits.double().softmax(-1).cumsum(-1)
        said.append(int((summed > draw * summed[-1]).nonzero()[0]))
        if said[-1] in STOPS:
            break
    return said


@every_model
def test_a_batch_writes_what_each_would_write_alone(model):
    student = MODELS[model]().eval()
    said = speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS))
    assert said == [by_hand(student, prompt, draws) for prompt, draws in zip(PROMPTS, DRAWS, strict=True)]
    assert len({len(answer) for answer in said}) > 2, "some end early"


@every_model
def test_few_rows_at_once_write_the_same(model):
    student = MODELS[model]()
    whole = speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS))
    assert speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS, rows=2)) == whole


@every_model
def test_without_heat_it_writes_what_is_likeliest(model):
    student = MODELS[model]().eval()
    said = speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS, temperature=0))
    for prompt, answer in zip(PROMPTS, said, strict=True):
        made = student.generate(
            torch.tensor([prompt]), max_new_tokens=TOKENS, do_sample=False, eos_token_id=sorted(STOPS), pad_token_id=0
        )
        assert made[0, len(prompt) :].tolist() == answer


def test_answers_end_with_a_stop_or_at_the_most_tokens():
    for answer in speak(writers.writer(), PROMPTS, DRAWS, STOPS, Speech(TOKENS)):
        assert answer
        assert answer[-1] in STOPS or len(answer) == TOKENS
        assert not STOPS & set(answer[:-1])


def test_tokens_come_as_often_as_they_are_likely():
    student = writers.writer()
    draws = np.random.default_rng(1).random((4000, 1))
    said = speak(student, [[5, 6]] * 4000, draws, frozenset(), Speech(1, rows=4000))
    with torch.no_grad():
        expected = student(torch.tensor([[5, 6]])).logits[0, -1].softmax(-1).numpy()
    shares = np.bincount([answer[0] for answer in said], minlength=writers.TOKENS) / 4000
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / 4000)


def test_heat_flattens():
    draws = np.random.default_rng(1).random((500, 1))
    kinds = [
        len({answer[0] for answer in speak(writers.writer(), [[5]] * 500, draws, STOPS, Speech(1, heat))})
        for heat in (0.3, 3)
    ]
    assert kinds[0] < kinds[1]


def test_the_model_is_left_in_the_mode_it_was_in():
    student = gpt2().train()
    student.transformer.h[0].eval()
    speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS))
    assert student.training
    assert not student.transformer.h[0].training
    assert student.transformer.h[1].training


def test_dropout_does_not_speak():
    student = gpt2().train()
    assert speak(student, PROMPTS, DRAWS, STOPS, Speech(TOKENS)) == speak(
        student, PROMPTS, DRAWS, STOPS, Speech(TOKENS)
    )


def test_no_prompt_is_no_beginning():
    with pytest.raises(UsageError, match="begin every prompt"):
        speak(writers.writer(), [[2], []], DRAWS, STOPS, Speech(TOKENS))


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"temperature": -1.0}, {"rows": 0}])
def test_speech_has_bounds(wrong):
    with pytest.raises(UsageError):
        Speech(**wrong)


def batch(ids: list[list[int]], labels: list[list[int]]) -> Batch:
    return Batch({"input_ids": torch.tensor(ids)}, torch.tensor(labels), torch.arange(len(ids)))


def test_a_prompt_is_what_comes_before_the_last_answer():
    given = batch(
        [[2, 3, 4, 5, 1, 0], [2, 3, 1, 4, 5, 1]],
        [[-1, -1, 5, 1, -1, -1], [3, 1, -1, 5, 1, -1]],
    )
    assert prompts(given) == [[2, 3, 4], [2, 3, 1, 4]]


def test_of_a_bare_text_it_is_the_first_token():
    assert prompts(batch([[2, 3, 4, 1]], [[3, 4, 1, -1]])) == [[2]]


def test_the_tasks_prompts_are_found():
    task = writers.task()
    found = prompts(task.batch(range(6)))
    assert [len(prompt) for prompt in found] == [*writers.PROMPT, *writers.PROMPT]
    assert all(prompt == task.ids[row][: len(prompt)].tolist() for row, prompt in enumerate(found))


def test_a_row_without_an_answer_has_no_prompt():
    with pytest.raises(UsageError, match="no answer"):
        prompts(batch([[2, 3]], [[-1, -1]]))


def test_what_ends_most_answers_is_the_stop():
    assert ends(writers.task().batch(range(8))) == {writers.END}
    assert ends(batch([[2, 3, 4], [2, 5, 6], [2, 7, 8]], [[3, 4, -1], [5, 6, -1], [7, 8, -1]])) == frozenset()
