"""Decode: tokens a second of a local model that answers 1, 4 and 16 calls at once, beside Transformers' `generate`.

    python benchmarks/decode.py [--device cuda] [--quick] [--json] > benchmarks/results/decode.json

The model has random weights, in the shape of SmolLM2-135M (of a quarter of that with `--quick`), and answers greedily.
*Together*: calls that come at once and get answers of one length; `generate` takes them as one batch, padded on the
left. *Apart*: 32 calls whose answers differ in length, at most 16 at a time: a call that ends makes room for the next
at once, where `generate` begins the next batch once the longest answer of the last has ended. Only tokens that were
asked for count. The two take turns, and the best of the rounds counts; on a CPU its CPU seconds, which do not depend
on what else the machine does. Without an HTTP server: this is the model's thread alone, texts and stops included.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shlex
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from stillhouse.extras import version
from stillhouse.inference.chat_tokens import ChatTokens
from stillhouse.inference.decode import Decoder, Limits
from stillhouse.inference.row import End, Event, Order, Row
from stillhouse.wire.chat_options import Drawing

AT_ONCE = 16
SHAPES: dict[bool, dict[str, Any]] = {
    True: {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "vocab_size": 16384},
    False: {"hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "vocab_size": 49152},
}
Work = Sequence[tuple[tuple[int, ...], int]]
"""Prompts, and how many tokens to write after each."""


def model(quick: bool, device: str) -> Any:
    torch.manual_seed(0)
    shape = SHAPES[quick]
    config = LlamaConfig(
        **shape,
        num_key_value_heads=3,
        intermediate_size=shape["hidden_size"] * 8 // 3,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        eos_token_id=None,
        bos_token_id=None,
    )
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    made: Any = LlamaForCausalLM(config)
    return made.eval().to(device, dtype)


def tokens(size: int) -> ChatTokens:
    """A vocabulary of that many words, none of which ends an answer."""
    backend = Tokenizer(models.BPE({f"t{number}": number for number in range(size)}, []))
    backend.decoder = decoders.ByteLevel()
    return ChatTokens(PreTrainedTokenizerFast(tokenizer_object=backend), [size], 4096)


def ours(decoder: Decoder, words: ChatTokens, work: Work) -> None:
    left, done = len(work), threading.Event()

    def hear(index: int, event: Event) -> None:
        nonlocal left
        if isinstance(event, End):
            assert event.error is None, event.error
            left -= 1
            if not left:
                done.set()

    greedy = Drawing(temperature=0)
    decoder.submit([Row(Order(prompt, most, greedy), at, words, hear) for at, (prompt, most) in enumerate(work)])
    done.wait()


def theirs(peer: Any, work: Work) -> None:
    for start in range(0, len(work), AT_ONCE):
        some = work[start : start + AT_ONCE]
        longest, most = max(len(prompt) for prompt, _ in some), max(most for _, most in some)
        ids = torch.zeros((len(some), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for at, (prompt, _) in enumerate(some):
            ids[at, longest - len(prompt) :] = torch.tensor(prompt)
            mask[at, longest - len(prompt) :] = 1
        peer.generate(
            input_ids=ids.to(peer.device),
            attention_mask=mask.to(peer.device),
            max_new_tokens=most,
            min_new_tokens=most,
            do_sample=False,
            pad_token_id=0,
        )


def cases(size: int, seed: int, quick: bool) -> dict[str, Work]:
    """What is to be written in each case."""
    numbers = random.Random(seed)
    most = 48 if quick else 128

    def prompt() -> tuple[int, ...]:
        return tuple(numbers.randrange(size) for _ in range(numbers.randint(24, 96)))

    found: dict[str, Work] = {f"together {count}": [(prompt(), most) for _ in range(count)] for count in (1, 4, 16)}
    found["apart"] = [(prompt(), numbers.randint(most // 16, most)) for _ in range(2 * AT_ONCE)]
    return found


def timed(work: Callable[[], None], device: str) -> float:
    """CPU seconds on a CPU, else seconds."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def benchmark(given: argparse.Namespace) -> dict[str, Any]:
    torch.set_num_threads(given.threads)
    peer = model(given.quick, given.device)
    size = peer.config.vocab_size
    words, decoder = tokens(size), Decoder(peer, Limits(rows=AT_ONCE), given.threads)
    rows: list[dict[str, Any]] = []
    for name, work in cases(size, given.seed, given.quick).items():
        seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
        for turn in range(1 + given.rounds):
            mine = timed(lambda work=work: ours(decoder, words, work), given.device)
            its = timed(lambda work=work: theirs(peer, work), given.device)
            if turn:  # the first is for warming up
                seconds["ours"].append(mine)
                seconds["theirs"].append(its)
        count = sum(most for _, most in work)
        speeds = {who: count / min(spent) for who, spent in seconds.items()}
        rows.append({"case": name, "tokens": count, **speeds, "ratio": speeds["ours"] / speeds["theirs"]})
        tell(f"{name}: {speeds['ours']:.0f} tokens a second, generate {speeds['theirs']:.0f}")
    decoder.close()
    return {
        "benchmark": "decode",
        "command": shlex.join(["python", "benchmarks/decode.py", *sys.argv[1:]]),
        "seed": given.seed,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else platform.machine(),
        "threads": given.threads,
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0]},
        "parameters": sum(weight.numel() for weight in peer.parameters()),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("torch", "transformers")},
        "cases": rows,
        "targets": targets(rows),
    }


def targets(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = {"together 1": 1.0, "together 4": 1.0, "together 16": 1.0, "apart": 1.3}
    return [
        {
            "name": f"{row['case']}, times the tokens a second of generate",
            "target": wanted[row["case"]],
            "measured": row["ratio"],
            "met": row["ratio"] >= wanted[row["case"]],
        }
        for row in rows
    ]


def table(result: dict[str, Any]) -> str:
    """The result as people read it."""
    lines = [f"{result['parameters'] / 1e6:.0f} M parameters on {result['device']}, {result['threads']} threads", ""]
    lines += ["| case | tokens/s | generate | ratio |", "|---|---|---|---|"]
    lines += [
        f"| {row['case']} | {row['ours']:.0f} | {row['theirs']:.0f} | {row['ratio']:.2f} |" for row in result["cases"]
    ]
    missed = [target for target in result["targets"] if not target["met"]]
    return "\n".join([*lines, *(f"MISSED: {t['name']}: {t['measured']:.2f} (target {t['target']})" for t in missed)])


def tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of a CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a small model and short answers: under two minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    given = parser.parse_args()
    result = benchmark(given)
    print(json.dumps(result, indent=2) if given.json else table(result))


if __name__ == "__main__":
    main()
