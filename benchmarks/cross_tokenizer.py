"""Across tokenizers: cutting two tokenizations into chunks, and the universal logit distance, beside TRL's GOLD.

    python benchmarks/cross_tokenizer.py [--data DIR] [--quick] [--device cpu|cuda] [--json]

The peer is `pip install trl==1.16.0 datasets`, whose GOLD trainer aligns by byte offsets in Python, token by token.
Without it our own numbers are printed. Every contestant takes its turn in each round, in one process on one thread;
times are CPU seconds of the median round (on a GPU its own clock's), and ratios are medians of the rounds' ratios.

1. Speed: encodings to the places of their tokens in the text, and places to chunks, with BPE tokenizers of 1,024 to
   32,768 tokens trained here on two texts. Tokenizing itself is shown beside it.
2. Correctness: the chunks of hard and of plain texts against those that the widths of the pieces give, cut by sets. The
   peer's trainer leaves BOS out of what it aligns; here its functions get it, as they allow.
3. Universal logit distance, forward and backward, 128,256 against 151,936 tokens: sorted whole, and by the largest and
   the rest; its error on made-up rows of Zipf's law, and on bigram models of two trained tokenizers, whose weak
   guesses have heavy tails.

`--data` holds lm_text/: War and Peace, Shakespeare, and WikiText-2 (validation and test), as gzipped text.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import itertools
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rows import read_text
from tokenizers import Encoding, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import stillhouse
from stillhouse.extras import version
from stillhouse.objectives.universal import universal_distance, universal_distance_of_largest
from stillhouse.signals.align import Alignment, align
from stillhouse.signals.spans import Spans, spans_of_encodings
from stillhouse.signals.token_bytes import read_token_bytes

PEER = "trl 1.16.0, GOLD"
PAIRS = ((1024, 32768), (8192, 16384), (32768, 32768))
ROW, ROWS = 2000, 16
"""Characters of a row and rows of a batch: about 500 tokens each, as a training step has them."""
TEXTS = (("war_and_peace",), ("wikitext2_valid", "tinyshakespeare"), ("wikitext2_test",))
"""What the tokenizers of the left side learn from, those of the right side, and what is asked of both."""
VOCABULARIES = (128_256, 151_936)
DISTANCE_ROWS = 32
"""As a head that works through its tokens in chunks gives them."""
KEPT = (64, 256, 1024)
HARD = (
    "你好，世界！ Überraschung in the café, naïve Ωmega ﬁne",
    "two lines\r\nof parcels\r\n\r\n  and the end\r\n",
    "the 👩‍👩‍👧 family 👍🏽 and 👩‍🚀 the 🇫🇷 flag",
    "   the dog  sleeps   over  ",
    "cafe\u0301 and nai\u0308ve\u200b\ufeff \x00 tab\tend",
    "x",
    "",
)
TARGETS = {"places": 5.0, "chunks": 5.0, "distance": 20.0, "error": 0.005}
Groups = list[tuple[tuple[int, ...], tuple[int, ...]]]
Turns = dict[str, Callable[[], Any]]


def main() -> None:
    """Run the benchmark and print what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="one pair of tokenizers, fewer rows and rounds")
    parser.add_argument("--device", default="cpu", help="where the universal logit distance is computed")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up rows")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    result = benchmark(options)
    print(json.dumps(result, indent=1) if options.json else table(result))


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Everything the benchmark reports."""
    started, peer = time.monotonic(), find_peer()
    if peer is None:
        print("peer not installed: pip install trl==1.16.0 datasets", file=sys.stderr)
    novel, others, asked = (read(options.data, *names) for names in TEXTS)
    pairs = [
        (byte_level(novel, left), byte_level(others, right)) for left, right in (PAIRS[:1] if options.quick else PAIRS)
    ]
    rows = [asked[start : start + ROW] for start in range(0, ROW * ROWS, ROW)]
    alignment = [speed(*pair, rows, options.quick, peer) for pair in pairs]
    checked = correctness(*pairs[0], sentence_piece(novel, 4096), rows, peer)
    bigrams = [Bigrams(tokenizer, novel) for tokenizer in pairs[-1]]
    distance = distances(options, peer)
    errors = {
        "Zipf": errors_on(*zipf(128, options.seed)),
        "bigrams": errors_on(*met(bigrams, rows[0])),
    }
    return {
        "benchmark": "cross_tokenizer",
        "command": "python benchmarks/cross_tokenizer.py " + " ".join(sys.argv[1:]),
        "seed": options.seed,
        "versions": versions(),
        "hardware": {"cores": os.cpu_count(), "threads": 1, "device": device_name(options.device)},
        "peer": PEER if peer else "peer not installed",
        "seconds": round(time.monotonic() - started),
        "alignment": alignment,
        "correctness": checked,
        "universal_distance": distance,
        "universal_distance_error": errors,
        "targets": targets(alignment, checked, distance, errors),
    }


# The peer, and what both are given


def find_peer() -> SimpleNamespace | None:
    """TRL's functions, or None where they are not installed."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = importlib.import_module("trl.experimental.gold.gold_trainer").ULDLoss
            place = importlib.import_module("trl.experimental.utils").encode_with_byte_offsets
    except ImportError:
        return None
    return SimpleNamespace(place=place, chunk=loss._align_by_byte_offsets, loss=loss)


def read(data: Path, *names: str) -> str:
    """Texts one after the other, their line ends as they are."""
    return "\n".join(read_text(data, name, as_it_is=True) for name in names)


def byte_level(text: str, size: int) -> Tokenizer:
    """BPE over bytes, as GPT-2's, Llama 3's and Qwen's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return tokenizer


def sentence_piece(text: str, size: int) -> Tokenizer:
    """BPE over characters with a mark for spaces, and bytes to fall back to, as Llama 2's and Gemma's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<s>", "</s>", "<unknown>"], show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    whole = json.loads(tokenizer.to_str())
    whole["model"] |= {"byte_fallback": True, "unk_token": "<unknown>"}
    vocabulary = whole["model"]["vocab"]
    vocabulary |= {f"<0x{byte:02X}>": len(vocabulary) + byte for byte in range(256)}
    return Tokenizer.from_str(json.dumps(whole))


# 1. Speed


class Reader:
    """A tokenizer and the bytes of its tokens, read once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.vocabulary = tokenizer, read_token_bytes(tokenizer)

    def place(self, rows: list[str]) -> Spans:
        return spans_of_encodings(self.vocabulary, self.tokenizer.encode_batch(rows), rows)


class Encoded:
    """A tokenizer that has read its texts already: so that the peer's time holds no tokenizing either."""

    def __init__(self, tokenizer: Tokenizer, rows: list[str]) -> None:
        self.pre_tokenizer, self.decoder = tokenizer.pre_tokenizer, tokenizer.decoder
        self.encodings = tokenizer.encode_batch(rows)

    def encode_batch(self, rows: list[str], add_special_tokens: bool) -> list[Encoding]:
        return self.encodings


def speed(
    left: Tokenizer, right: Tokenizer, rows: list[str], quick: bool, peer: SimpleNamespace | None
) -> dict[str, Any]:
    """CPU seconds of a batch from encodings to chunks, in two parts."""
    readers = [Reader(tokenizer) for tokenizer in (left, right)]
    encoded = [Encoded(tokenizer, rows) for tokenizer in (left, right)]

    def place() -> list[Spans]:
        return [
            spans_of_encodings(reader.vocabulary, side.encodings, rows)
            for reader, side in zip(readers, encoded, strict=True)
        ]

    spans = place()
    turns: Turns = {
        "tokenize": lambda: [tokenizer.encode_batch(rows) for tokenizer in (left, right)],
        "place": place,
        "chunk": lambda: align(*spans),
    }
    if peer:
        offsets = [[row for _, row in peer.place(side, rows)] for side in encoded]
        turns["peer's place"] = lambda: [peer.place(side, rows) for side in encoded]
        turns["peer's chunk"] = lambda: [peer.chunk(*row) for row in zip(*offsets, strict=True)]
    seen = race(turns, 10 if quick else 25)
    tokens = sum(int((side.starts >= 0).sum()) for side in spans)
    return {
        "vocabularies": [left.get_vocab_size(), right.get_vocab_size()],
        "tokens": tokens,
        "chunks": int(align(*spans).counts.sum()),
        "tokens_per_cpu_second": {name: round(tokens / statistics.median(times)) for name, times in seen.items()},
        "times_faster": {part: median_ratio(seen[f"peer's {part}"], seen[part]) for part in ("place", "chunk") if peer},
    }


def race(turns: Turns, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each contestant in each round, taking turns; the first round is for warming up."""
    seen: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds + 1):
        for name, turn in turns.items():
            started = time.process_time()
            turn()
            seen[name].append(time.process_time() - started)
    return {name: times[1:] for name, times in seen.items()}


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 2)


# 2. Correctness


def correctness(
    small: Tokenizer, large: Tokenizer, pieces: Tokenizer, rows: list[str], peer: SimpleNamespace | None
) -> list[dict[str, Any]]:
    """How many texts each contestant cuts otherwise than the plain method, or refuses."""
    spaced, began = (Tokenizer.from_str(small.to_str()) for _ in range(2))
    spaced.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    began.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    cases = {
        "byte-level": (small, large),
        "BOS on one side": (began, large),
        "space added on one side": (spaced, large),
        "SentencePiece on one side": (pieces, large),
    }
    texts = [*HARD, *rows]
    found: list[dict[str, Any]] = []
    for name, (left, right) in cases.items():
        expected = [plain_groups(left, right, text) for text in texts]
        ours = Reader(left), Reader(right)
        seen: dict[str, Sequence[Groups | None]] = {"stillhouse": [our_groups(*ours, text) for text in texts]}
        if peer:
            seen[PEER] = [peer_groups(peer, left, right, text) for text in texts]
        for contestant, groups in seen.items():
            wrong = [text for text, mine, its in zip(texts, groups, expected, strict=True) if mine not in (its, None)]
            found.append(
                {
                    "case": name,
                    "contestant": contestant,
                    "texts": len(texts),
                    "wrong": len(wrong),
                    "refused": sum(group is None for group in groups),
                    "first_wrong": wrong[0][:60] if wrong else None,
                }
            )
    return found


def plain_groups(left: Tokenizer, right: Tokenizer, text: str) -> Groups:
    """The chunks by sets: between the bytes where tokens of both sides end."""
    sides = [plain_ends(tokenizer, text) for tokenizer in (left, right)]
    ends = [{0, *(end for end in side.values() if end)} for side in sides]
    return [
        (inside(sides[0], low, high), inside(sides[1], low, high))
        for low, high in itertools.pairwise(sorted(ends[0] & ends[1]))
    ]


def inside(ends: dict[int, int], low: int, high: int) -> tuple[int, ...]:
    """The tokens that end there; one that is an added space and no more goes with the next."""
    return tuple(token for token, end in ends.items() if low < max(end, 1) <= high)


def plain_ends(tokenizer: Tokenizer, text: str) -> dict[int, int]:
    """The byte at which each token of the text ends."""
    encoding = tokenizer.encode(text)
    places = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    ends = list(itertools.accumulate(width(tokenizer, encoding.tokens[place]) for place in places))
    added = ends[-1] - len(text.encode()) if ends else 0
    return {place: end - added for place, end in zip(places, ends, strict=True)}


def width(tokenizer: Tokenizer, piece: str) -> int:
    """How many bytes a piece writes: a byte-level letter is one, a SentencePiece character as many as it has."""
    if "ByteLevel" in repr(tokenizer.decoder):
        return len(piece)
    return 1 if piece.startswith("<0x") else len(piece.replace("\u2581", " ").encode())


def our_groups(left: Reader, right: Reader, text: str) -> Groups:
    found: Alignment = align(left.place([text]), right.place([text]))
    sides = [[np.flatnonzero(side[0] == chunk) for chunk in range(found.chunks)] for side in (found.left, found.right)]
    return [(tuple(mine.tolist()), tuple(its.tolist())) for mine, its in zip(*sides, strict=True)]


def peer_groups(peer: SimpleNamespace, left: Tokenizer, right: Tokenizer, text: str) -> Groups | None:
    """The peer's groups with tokens on both sides; None where it refuses."""
    try:
        sides = [peer.place(tokenizer, [text], add_special_tokens=True)[0][1] for tokenizer in (left, right)]
        pairs = zip(*peer.chunk(*sides), strict=True)
    except (NotImplementedError, ValueError):
        return None
    return [(tuple(mine), tuple(its)) for mine, its in pairs if mine and its]


# 3. The universal logit distance


def distances(options: argparse.Namespace, peer: SimpleNamespace | None) -> dict[str, Any]:
    """Seconds, forward and backward to the student's logits, and the memory at the height of it."""
    device = options.device
    student, teacher = (logits.to(device) for logits in zipf(DISTANCE_ROWS, options.seed))
    turns: Turns = {"whole": partial(distance_and_gradient, student, teacher, universal_distance)}
    for kept in KEPT:
        fast = partial(universal_distance_of_largest, kept=kept)
        turns[f"largest {kept}"] = partial(distance_and_gradient, student, teacher, fast)
    if peer:
        loss = peer_loss(peer)
        turns[PEER] = lambda: peer_step(loss, student, teacher)
    seen = (race if device == "cpu" else race_on_device)(turns, 3 if options.quick else 12)
    return {
        "rows": DISTANCE_ROWS,
        "vocabularies": VOCABULARIES,
        "seconds": {name: round(statistics.median(times), 4) for name, times in seen.items()},
        "peak_mib": {name: peak(turn, device) for name, turn in turns.items()},
        "times_faster": {
            f"largest {kept} than {slow}": median_ratio(seen[slow], seen[f"largest {kept}"])
            for kept in KEPT
            for slow in ("whole", PEER)
            if slow in seen
        },
    }


def peer_loss(peer: SimpleNamespace) -> Callable[..., torch.Tensor]:
    """The peer's loss on rows that are aligned already, without cross-entropy, at temperature 1."""
    config = SimpleNamespace(
        uld_crossentropy_weight=0.0,
        uld_distillation_weight=1.0,
        uld_student_temperature=1.0,
        uld_teacher_temperature=1.0,
        uld_skip_student_eos=False,
        uld_skip_teacher_eos=False,
        use_extended_uld=False,
        uld_token_merge_strategy="observed",
        uld_use_hybrid_loss=False,
    )
    return peer.loss(config)


def peer_step(loss: Callable[..., torch.Tensor], student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    leaf = student.detach().requires_grad_()
    ids = torch.zeros(1, len(student), dtype=torch.long, device=student.device)
    return torch.autograd.grad(loss(leaf[None], teacher[None], ids, ids, ids, ids).sum(), leaf)[0]


def race_on_device(turns: Turns, rounds: int) -> dict[str, list[float]]:
    """As `race`, by the device's own clock."""
    seen: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds + 1):
        for name, turn in turns.items():
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            turn()
            last.record()
            torch.cuda.synchronize()
            seen[name].append(first.elapsed_time(last) / 1000)
    return {name: times[1:] for name, times in seen.items()}


def peak(turn: Callable[[], Any], device: str) -> int | None:
    """MiB above what was held before, at the height of one turn; None where the system does not tell."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        turn()
        return round((torch.cuda.max_memory_allocated() - before) / 2**20)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed and kept would hide what is taken now
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        return None
    before = memory("VmRSS")
    turn()
    return round((memory("VmHWM") - before) / 1024)


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def zipf(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of made-up rows, `[count, vocabulary]` a side: p(rank) ~ rank^-s with noise, s from 0.9 to 2.2 a row."""
    random = torch.Generator().manual_seed(seed)
    slopes = 0.9 + 1.3 * torch.rand(count, 1, generator=random)
    sides = []
    for size in VOCABULARIES:
        ranks = torch.argsort(torch.rand(count, size, generator=random)) + 1.0
        tilted = slopes * (1 + 0.1 * torch.randn(count, 1, generator=random))
        sides.append(-tilted * ranks.log() + 0.5 * torch.randn(count, size, generator=random))
    return sides[0], sides[1]


class Bigrams:
    """p(token | last token): counts of a text, smoothed by the counts of single tokens."""

    def __init__(self, tokenizer: Tokenizer, text: str) -> None:
        self.tokenizer, self.size = tokenizer, tokenizer.get_vocab_size()
        self.ids = np.array(tokenizer.encode(text).ids)
        self.alone = np.bincount(self.ids, minlength=self.size) + 0.1

    def logits(self, last: int) -> np.ndarray:
        after = np.bincount(self.ids[1:][self.ids[:-1] == last], minlength=self.size)
        return np.log(after + 5.0 * self.alone / self.alone.sum())


def met(bigrams: list[Bigrams], text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What two bigram models say where both have one token for the same bytes, `[places, vocabulary]` a side."""
    readers = [Reader(side.tokenizer) for side in bigrams]
    _, *places = align(readers[0].place([text]), readers[1].place([text])).singles()
    ids = [side.tokenizer.encode(text).ids for side in bigrams]
    told = [
        np.stack([side.logits(own[place - 1]) for place in found[1:].tolist()])
        for side, own, found in zip(bigrams, ids, places, strict=True)
    ]
    return torch.from_numpy(told[0]), torch.from_numpy(told[1])


def errors_on(student: torch.Tensor, teacher: torch.Tensor) -> dict[str, Any]:
    """How far the fast form lies below the exact distance, as a share of it, and how alike their gradients are."""
    sides = student.double(), teacher.double()
    exact, slope = distance_and_gradient(*sides, universal_distance)
    found = {}
    for kept in KEPT:
        value, gradient = distance_and_gradient(*sides, partial(universal_distance_of_largest, kept=kept))
        found[str(kept)] = {
            "mean": round(float((exact - value).sum() / exact.sum()), 6) + 0.0,
            "largest_of_a_row": round(float(((exact - value) / exact.clamp(min=1e-9)).max()), 6),
            "gradient_cosine": round(float(torch.cosine_similarity(slope, gradient).mean()), 6),
        }
    return {"rows": len(student), "mean_distance": round(float(exact.mean()), 4), "error_by_kept": found}


def distance_and_gradient(
    student: torch.Tensor, teacher: torch.Tensor, distance: Callable[..., torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = student.detach().requires_grad_()
    value = distance(leaf.log_softmax(-1), teacher.log_softmax(-1))
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


# The report


def targets(alignment: list[dict], checked: list[dict], distance: dict, errors: dict) -> list[dict[str, Any]]:
    """What was promised, and what was measured; a comparison without the peer is not met."""

    def at_least(name: str, target: float, measured: float | None) -> dict[str, Any]:
        return {
            "name": name,
            "target": target,
            "measured": measured,
            "met": measured is not None and measured >= target,
        }

    def slowest(part: str) -> float | None:
        return min((row["times_faster"][part] for row in alignment if row["times_faster"]), default=None)

    def at_most(name: str, target: float, measured: float) -> dict[str, Any]:
        return {"name": name, "target": target, "measured": measured, "met": measured <= target}

    wrong = sum(row["wrong"] + row["refused"] for row in checked if row["contestant"] == "stillhouse")
    error = errors["Zipf"]["error_by_kept"]
    sorting = {kept: distance["times_faster"][f"largest {kept} than whole"] for kept in KEPT}
    return [
        at_least(f"encodings to places, times as fast as {PEER}", TARGETS["places"], slowest("place")),
        at_least(f"places to chunks, times as fast as {PEER}", TARGETS["chunks"], slowest("chunk")),
        at_most("texts cut wrongly or refused", 0, wrong),
        *(
            at_least(f"{kept} largest, times as fast as sorting", TARGETS["distance"], sorting[kept])
            for kept in KEPT[:2]
        ),
        *(
            at_most(f"{kept} largest, mean error on Zipf", TARGETS["error"], error[str(kept)]["mean"])
            for kept in KEPT[:2]
        ),
    ]


def versions() -> dict[str, str | None]:
    packages = ("torch", "tokenizers", "numpy", "trl")
    return {"stillhouse": stillhouse.__version__, "python": platform.python_version()} | {
        package: version(package) for package in packages
    }


def device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    return "\n".join(lines(result))


def lines(result: dict[str, Any]) -> Iterator[str]:
    yield f"peer: {result['peer']}"
    for row in result["alignment"]:
        rates = ", ".join(f"{name} {rate / 1e6:.2f} M" for name, rate in row["tokens_per_cpu_second"].items())
        yield f"vocabularies {row['vocabularies']}, tokens per CPU second: {rates}; times faster {row['times_faster']}"
    for row in result["correctness"]:
        seen = f"{row['wrong']} of {row['texts']} texts wrong, {row['refused']} refused"
        yield f"{row['case']}: {row['contestant']}: {seen}"
    distance = result["universal_distance"]
    yield f"universal distance, {distance['rows']} rows, seconds: {distance['seconds']}, MiB: {distance['peak_mib']}"
    for name, found in result["universal_distance_error"].items():
        yield f"error on {name} (mean distance {found['mean_distance']}): {found['error_by_kept']}"
    for target in result["targets"]:
        mark = "met" if target["met"] else "MISSED"
        yield f"{mark}: {target['name']}: {target['measured']} (target {target['target']})"


if __name__ == "__main__":
    main()
