"""No benchmark, but its part without training: what several annotators' answers are worth, each alone and together.

Four sets of real answers whose truth is known:

    cqa_cot        three language models (PaLM 540B, Llama 3 twice) choose among five answers; truth: people's
    gsm8k          four GPT-3 systems give a number; truth: the right one. Answers have no names in common, so each
                   item's answers are numbered by chance, and annotators have one reliability each
    alpaca_eval    which of two models' answers is better; truth: the sign of GPT-4 Turbo's preference for either over
                   the same third answer. No second judge's verdicts are there to be had, so what stands in for judges
                   are 16 models that answered the same prompt: each votes for the answer that shares more words with
                   its own (F1 of words)
    vicuna_judge   which of two models' answers is better; truth: GPT-4's scores for these two side by side. Annotators
                   are three other sessions of GPT-4, which scored either one beside one of three more models
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rows import read_rows

from stillhouse.generation.ballots import Ballots, collect
from stillhouse.generation.dawid_skene import Options, estimate
from stillhouse.generation.vote import accuracies, decide, majority, weighted

KNOWN = 200
"""Items whose truth is known beforehand, to measure annotators by; they do not count in any accuracy."""
RESAMPLED = 2_000
LETTERS = "abcde"
SLOTS = 50
CLEAR = 0.05
"""Pairs of which GPT-4 prefers one over the third answer by no more than this have no truth."""
SIDES = ("first", "second")
PAIRS = 6
Said = list[dict[str, str | None]]


def labels_part(data: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Every set by every way."""
    makers = {"cqa_cot": cqa, "gsm8k": gsm8k, "alpaca_eval": preferences, "vicuna_judge": sessions}
    found: dict[str, Any] = {}
    for name, make in makers.items():
        said, truth, labels = make(data, seed)
        if quick:
            said, truth = said[:1_500], truth[:1_500]
        found[name] = measure(said, truth, labels, seed, name == "gsm8k")
    return found


def measure(said: Said, truth: Sequence[str], labels: Sequence[str], seed: int, coin: bool) -> dict[str, Any]:
    """Accuracy of each annotator alone and of all together, on the items that no reliability was measured on."""
    ballots = collect(said, labels)
    known = min(KNOWN, len(said) // 4)
    place = {label: at for at, label in enumerate(labels)}
    right = np.asarray([place[label] for label in truth])
    shares = {"majority": majority(ballots)}
    if not coin:
        shares["dawid-skene"] = estimate(ballots, Options(smoothing=1.0)).shares
    shares["one coin"] = estimate(ballots, Options(one_coin=True)).shares
    told = [*truth[:known], *[None] * (len(truth) - known)]
    shares["measured weights"] = weighted(ballots, accuracies(ballots, told).tolist())
    hits = {name: decide(labels, each).best == right for name, each in shares.items()}
    singles = {name: np.asarray([row.get(name) == one for row, one in zip(said, truth, strict=True)])
               for name in ballots.annotators}  # fmt: skip
    best = max(singles, key=lambda name: singles[name][:known].mean())
    hits |= {"a single one": np.mean([*singles.values()], axis=0), "the best known": singles[best]}
    rest = {name: np.asarray(each, np.float64)[known:] for name, each in hits.items()}
    return {
        "items": len(said) - known,
        "annotators": len(ballots.annotators),
        "best_annotator": best,
        "accuracy": {name: float(each.mean()) for name, each in rest.items()},
        "alone": {name: float(each[known:].mean()) for name, each in singles.items()},
        "over_a_single_one": {name: gain(rest[name], rest["a single one"], seed) for name in shares},
        "over_the_best_known": {name: gain(rest[name], rest["the best known"], seed) for name in shares},
        "all_agree": agreed(ballots, decide(labels, shares["majority"]).best == right, known),
        "right_labels_for_1000_answers": {
            name: 1_000 * float(each.mean()) / (len(ballots.annotators) if name in shares else 1)
            for name, each in rest.items()
        },
    }


def gain(one: Any, other: Any, seed: int) -> dict[str, float]:
    """The mean difference on the same items, and its 95 % interval by the bootstrap."""
    differences = one - other
    chance = np.random.default_rng(seed)
    draws = [differences[chance.integers(len(differences), size=len(differences))].mean() for _ in range(RESAMPLED)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"mean": float(differences.mean()), "low": float(low), "high": float(high)}


def agreed(ballots: Ballots, hits: Any, known: int) -> dict[str, float]:
    """What is left when only items stay on which all who answered agree, and how good that is."""
    same = ballots.agreement()[known:] == 1.0
    return {"share": float(same.mean()), "accuracy": float(hits[known:][same].mean()) if same.any() else 0.0}


def cqa(data: Path, seed: int) -> tuple[Said, list[str], Sequence[str]]:
    """Training rows; the letter that each model chose, read out of what it wrote."""
    said: Said = []
    truth: list[str] = []
    for row in read_rows(data / "cqa_cot" / "train.jsonl.gz"):
        letters = dict(zip(row["choices"], LETTERS, strict=False))
        told = {"llama3 1": chosen(row["llama3_raw_1"], row["choices"]),
                "llama3 2": chosen(row["llama3_raw_2"], row["choices"]), "palm": row["palm_label"]}  # fmt: skip
        said.append({name: letters.get(words or "") for name, words in told.items()})
        truth.append(letters[row["answer"]])
    return said, truth, tuple(LETTERS)


def chosen(raw: str | None, choices: Sequence[str]) -> str | None:
    """The choice that an answer names: by "the answer is (c)", else its first letter in brackets, else by its words."""
    low = (raw or "").lower()
    named = re.search(r"answer is:? *\(?([a-e])\b\)?", low) or re.search(r"\(([a-e])\)", low)
    if named:
        at = LETTERS.index(named[1])
        return choices[at] if at < len(choices) else None
    hits = [(low.find(choice.lower()), choice) for choice in choices if choice.lower() in low]
    return min(hits)[1] if hits else None


def gsm8k(data: Path, seed: int) -> tuple[Said, list[str], Sequence[str]]:
    """Test rows, on which alone the systems' answers are known; nothing is tuned on them."""
    chance = np.random.default_rng(seed)
    said: Said = []
    truth: list[str] = []
    systems = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    for row in read_rows(data / "gsm8k" / "model_solutions_test.jsonl.gz"):
        given = {system: number(row[system]["solution"]) for system in systems}
        right = number(row["ground_truth"]) or ""
        names = list(dict.fromkeys([value for value in given.values() if value is not None] + [right]))
        slots = dict(zip(names, map(str, chance.permutation(SLOTS).tolist()), strict=False))
        said.append({system: None if value is None else slots[value] for system, value in given.items()})
        truth.append(slots[right])
    return said, truth, tuple(map(str, range(SLOTS)))


def number(solution: str) -> str | None:
    """The number after "A:" at the end of a solution."""
    found = re.findall(r"A: *(.+)$", solution.strip())
    return found[-1].replace(",", "").strip() if found else None


def preferences(data: Path, seed: int) -> tuple[Said, list[str], Sequence[str]]:
    """Some pairs of models a prompt, drawn among those that GPT-4 judged; the others vote."""
    chance = np.random.default_rng(seed)
    gold, words = judged(data)
    ranked = sorted({model for row in gold.values() for model in row})
    voters = sorted(set(words) - set(ranked))
    said: Said = []
    truth: list[str] = []
    for prompt in sorted(gold):
        for _ in range(PAIRS):
            pair = [ranked[at] for at in chance.choice(len(ranked), 2, replace=False)]
            liked = [gold[prompt].get(model) for model in pair]
            if None in liked or abs(liked[0] - liked[1]) <= CLEAR:  # type: ignore[operator]
                continue
            bags = [words[model][prompt] for model in pair]
            said.append({voter: nearer(words[voter][prompt], bags) for voter in voters})
            truth.append(SIDES[int(liked[1] > liked[0])])  # type: ignore[operator]
    return said, truth, SIDES


def judged(data: Path) -> tuple[dict[int, dict[str, float]], dict[str, dict[int, Counter[str]]]]:
    """GPT-4's preference for each model's answer over the same third one, and the words of every answer."""
    gold: dict[int, dict[str, float]] = defaultdict(dict)
    for row in read_rows(data / "alpaca_eval" / "preferences.jsonl.gz"):
        gold[row["prompt_id"]][row["model_b"]] = row["p_b_better"]
    words = {
        path.name.removesuffix(".jsonl.gz"): {
            row["prompt_id"]: Counter(re.findall(r"\w+", (row["output"] or "").lower())) for row in read_rows(path)
        }
        for path in sorted((data / "alpaca_eval" / "outputs").glob("*.jsonl.gz"))
    }
    return gold, words


def nearer(own: Counter[str], bags: Sequence[Counter[str]]) -> str | None:
    """Which of two answers shares more words with a third."""
    first, second = ((own & bag).total() / max(1, own.total() + bag.total()) for bag in bags)
    return None if first == second else SIDES[int(second > first)]


def sessions(data: Path, seed: int) -> tuple[Said, list[str], Sequence[str]]:
    """LLaMA 13B against Alpaca 13B: judged side by side, and by their scores beside three more models."""
    who = {row["answer_id"]: row["model_id"] for row in read_rows(data / "vicuna_judge" / "answers.jsonl.gz")}
    scores: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    direct: dict[int, Mapping[str, float]] = {}
    for row in read_rows(data / "vicuna_judge" / "gpt4_reviews.jsonl.gz"):
        pair = [who.get(row[f"answer{side}_id"], "").split("-")[0] for side in (1, 2)]
        if row["file"].startswith("others/"):
            direct[row["question_id"]] = dict(zip(pair, row["score"], strict=True))
        else:
            scores[row["file"].split("/")[0]][row["question_id"]][pair[0]] = row["score"][0]
    said: Said = []
    truth: list[str] = []
    for question, pair in sorted(direct.items()):
        verdict = side(pair)
        if verdict is not None:
            truth.append(verdict)
            said.append({session: side(found.get(question, {})) for session, found in sorted(scores.items())})
    return said, truth, SIDES


def side(pair: Mapping[str, float]) -> str | None:
    """Which of the two has the higher score; None where they have the same, or one has none."""
    llama, alpaca = pair.get("llama"), pair.get("alpaca")
    return None if llama is None or alpaca is None or llama == alpaca else SIDES[int(alpaca > llama)]
