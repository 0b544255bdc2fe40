"""No benchmark, but its parts with language models trained here from nothing: rationales, and preferences.

The models are small Llamas (on a CPU 4 blocks of 128 and 2,000 rows, on a GPU 8 of 384 and all rows), with a tokenizer
and weights of their own; nothing pretrained is at hand. They write nothing worth reading, so they are asked which of
given answers they find likelier, by the mean log-probability of an answer's tokens after its prompt.

Rationales: cqa_cot (the five choices; reasons by PaLM 540B) and gsm8k (the right number against the wrong ones that
real systems gave; reasons are the worked answers of the training split). Labels alone, labels with as many reasons (as
many calls), and labels with reasons of so many rows that as many words were paid for.

Preferences: alpaca_eval. Pairs of answers to one prompt, of which GPT-4 Turbo prefers one. A model that has learnt the
better answers, then DPO on the pairs: how often is the better answer of held-out prompts the likelier one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from generation_labels import CLEAR, number
from rows import read_rows
from trials import difference, interval, kept, tell

PIECES, TOKENS, ROWS = 4_000, 192, 2_000
END = 1
Question = tuple[str, tuple[str, ...], int]
"""A prompt, the answers to choose among, and the position of the right one."""


@dataclass(frozen=True)
class Plan:
    """How often, how large, on what, and where finished trials are kept."""

    seeds: int
    quick: bool
    device: str
    home: Path | None


class Writers:
    """Small language models for one set of texts."""

    def __init__(self, texts: Iterable[str], quick: bool, device: str) -> None:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=1_000 if quick else PIECES, special_tokens=["<pad>", "<end>"], show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        backend.train_from_iterator(texts, trainer)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<end>")
        self.quick, self.device = quick, device

    def new(self, seed: int) -> Any:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        wide, deep = (32, 2) if self.quick else (384, 8) if self.device == "cuda" else (128, 4)
        config = LlamaConfig(
            vocab_size=len(self.tokenizer), hidden_size=wide, intermediate_size=3 * wide, num_hidden_layers=deep,
            num_attention_heads=4, max_position_embeddings=512,
        )  # fmt: skip
        made: Any = LlamaForCausalLM(config)
        return made.to(self.device)

    def train(self, model: Any, rows: Sequence[Mapping[str, str]], seed: int, rate: float, epochs: int) -> Any:
        import stillhouse
        from stillhouse.training.loop import Schedule

        schedule = Schedule(epochs=1 if self.quick else epochs, rate=rate, evaluations=4, seed=seed)
        return stillhouse.train(model, list(rows), tokenizer=self.tokenizer, schedule=schedule, size=16).student

    def likelier(self, model: Any, questions: Sequence[Question]) -> list[int]:
        """The answer with the highest mean log-probability, for each question."""
        import torch

        picked: list[int] = []
        with torch.no_grad():
            for prompt, answers, _ in questions:
                head = self.tokenizer(prompt)["input_ids"][-TOKENS:]
                tails = [[*self.tokenizer(answer)["input_ids"][:TOKENS], END] for answer in answers]
                longest = len(head) + max(map(len, tails))
                ids = torch.zeros(len(tails), longest, dtype=torch.long)
                for row, tail in enumerate(tails):
                    ids[row, : len(head) + len(tail)] = torch.tensor(head + tail)
                logs = model(ids.to(self.device)).logits.float().log_softmax(-1).cpu()
                told = logs[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
                first = max(0, len(head) - 1)
                means = [told[row, first : first + len(tail)].mean() for row, tail in enumerate(tails)]
                picked.append(int(torch.stack(means).argmax()))
        return picked

    def accuracy(self, model: Any, questions: Sequence[Question]) -> float:
        return float(np.mean([said == asked[2] for said, asked in zip(self.likelier(model, questions), questions,
                                                                     strict=True)]))  # fmt: skip


def rationales(data: Path, plan: Plan) -> dict[str, Any]:
    """Both sets."""
    return {name: reasoned(name, *make(data), plan) for name, make in (("cqa_cot", cqa), ("gsm8k", gsm8k))}


def reasoned(of: str, rows: list[dict[str, str]], questions: list[Question], plan: Plan) -> dict[str, Any]:
    """Labels alone, and with reasons at as many calls and at as many words."""
    rows = rows[: 200 if plan.quick else None if plan.device == "cuda" else ROWS]
    questions = questions[: 60 if plan.quick else None]
    writers = Writers((" ".join(row.values()) for row in rows), plan.quick, plan.device)
    plain = [{name: row[name] for name in ("prompt", "completion")} for row in rows]
    words = sum(len(row["completion"].split()) for row in rows) / sum(
        len(f"{row['completion']} {row['rationale']}".split()) for row in rows
    )
    dear = max(16, round(len(rows) * words))
    arms = {
        "labels": plain,
        "labels and reasons, as many calls": rows,
        "labels and reasons, as many words": rows[:dear],
    }
    trials: dict[str, list[float]] = defaultdict(list)

    def trial(some: list[dict[str, str]], seed: int) -> dict[str, float]:
        return {"accuracy": writers.accuracy(writers.train(writers.new(seed), some, seed, 3.0, 6), questions)}

    for seed in range(plan.seeds):
        for name, some in arms.items():
            found = kept(plan.home, f"rationales, {of}, {name}, {seed}", partial(trial, some, seed))
            trials[name].append(found["accuracy"])
            tell(f"rationales, {of}, {name}, trial {seed + 1}: {found['accuracy']:.2%}")
    return {
        "rows": {name: len(some) for name, some in arms.items()},
        "questions": len(questions),
        "by_chance": float(np.mean([1 / len(answers) for _, answers, _ in questions])),
        "accuracy": {name: interval(values) for name, values in trials.items()},
        "over_labels": {name: difference(trials[name], trials["labels"]) for name in arms if name != "labels"},
    }


def cqa(data: Path) -> tuple[list[dict[str, str]], list[Question]]:
    """Rows labelled by PaLM with its reasons; test questions with the right answer."""
    rows = [
        {
            "prompt": f"{row['input']}\nAnswer:",
            "completion": f" {row['palm_label']}",
            "rationale": row["palm_rationale"],
        }
        for row in read_rows(data / "cqa_cot" / "train.jsonl.gz")
        if row["palm_label"] and row["palm_rationale"]
    ]
    questions = [
        (
            f"{row['input']}\nAnswer:",
            tuple(f" {choice}" for choice in row["choices"]),
            row["choices"].index(row["answer"]),
        )
        for row in read_rows(data / "cqa_cot" / "test.jsonl.gz")
    ]
    return rows, questions


def gsm8k(data: Path) -> tuple[list[dict[str, str]], list[Question]]:
    """Rows with worked answers as reasons; test questions with the wrong numbers that real systems gave beside them."""
    rows: list[dict[str, str]] = []
    for row in read_rows(data / "gsm8k" / "train.jsonl.gz"):
        worked, _, result = row["answer"].partition("####")
        rows.append({"prompt": f"{row['question']}\nAnswer:", "completion": f" {result.strip()}", "rationale": worked})
    questions: list[Question] = []
    for row in read_rows(data / "gsm8k" / "model_solutions_test.jsonl.gz"):
        right = number(row["ground_truth"]) or ""
        given = {number(each["solution"]) for name, each in row.items() if name not in ("question", "ground_truth")}
        wrong = sorted(one for one in given if one and one != right)
        if wrong:
            questions.append((f"{row['question']}\nAnswer:", tuple(f" {one}" for one in (right, *wrong)), 0))
    return rows, questions


def preferred(data: Path, plan: Plan) -> dict[str, Any]:
    """SFT on better answers, then DPO on pairs, against going on with the better answers for as many steps."""
    pairs = judged_pairs(data)
    prompts = sorted({pair["prompt"] for pair in pairs})
    held = set(np.random.default_rng(0).permutation(prompts)[: len(prompts) // 5].tolist())
    learnt = [pair for pair in pairs if pair["prompt"] not in held][: 120 if plan.quick else None]
    tested = [pair for pair in pairs if pair["prompt"] in held][: 60 if plan.quick else None]
    writers = Writers((" ".join(pair.values()) for pair in learnt), plan.quick, plan.device)
    better = [{"prompt": pair["prompt"], "completion": pair["chosen"]} for pair in learnt]
    questions: list[Question] = [(pair["prompt"], (pair["chosen"], pair["rejected"]), 0) for pair in tested]
    trials: dict[str, list[float]] = defaultdict(list)

    def trial(seed: int) -> dict[str, float]:
        first = writers.train(writers.new(seed), better, seed, 3.0, 4)
        more = writers.train(deepcopy(first), better, seed, 1.0, 2)
        tuned = writers.train(deepcopy(first), learnt, seed, 1.0, 2)
        ways = {"better answers": first, "better answers, twice as long": more, "better answers, then DPO": tuned}
        return {name: writers.accuracy(model, questions) for name, model in ways.items()}

    for seed in range(plan.seeds):
        found = kept(plan.home, f"preferences, {seed}", partial(trial, seed))
        for name, accuracy in found.items():
            trials[name].append(accuracy)
        tell(f"preferences, trial {seed + 1}: {found}")
    return {
        "pairs": len(learnt),
        "held_out_pairs": len(tested),
        "accuracy": {name: interval(values) for name, values in trials.items()},
        "gain_of_dpo": difference(trials["better answers, then DPO"], trials["better answers, twice as long"]),
        "longer_answer_is_better": float(np.mean([len(pair["chosen"]) > len(pair["rejected"]) for pair in tested])),
    }


def judged_pairs(data: Path) -> list[dict[str, str]]:
    """Four pairs a prompt whose answers GPT-4 likes differently, beginnings only."""
    prompts = {row["prompt_id"]: row["instruction"] for row in read_rows(data / "alpaca_eval" / "prompts.jsonl.gz")}
    liked: dict[int, dict[str, float]] = defaultdict(dict)
    for row in read_rows(data / "alpaca_eval" / "preferences.jsonl.gz"):
        liked[row["prompt_id"]][row["model_b"]] = row["p_b_better"]
    models = sorted({model for row in liked.values() for model in row})
    said = {
        model: {
            row["prompt_id"]: row["output"] or ""
            for row in read_rows(data / "alpaca_eval" / "outputs" / f"{model}.jsonl.gz")
        }
        for model in models
    }
    chance = np.random.default_rng(0)
    found: list[dict[str, str]] = []
    for prompt in sorted(liked):
        for _ in range(4):
            pair = [models[at] for at in chance.choice(len(models), 2, replace=False)]
            pair.sort(key=lambda model: -liked[prompt].get(model, 0.0))
            high, low = (liked[prompt].get(model, 0.0) for model in pair)
            texts = [said[model][prompt][:600].strip() for model in pair]
            if high - low > CLEAR and all(texts) and texts[0] != texts[1]:
                found.append({"prompt": f"{prompts[prompt][:400]}\n\n", "chosen": texts[0], "rejected": texts[1]})
    return found
