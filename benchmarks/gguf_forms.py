"""Students in llama.cpp, by the form of their weights: how alike they answer, how large they are, how fast.

    python benchmarks/gguf_forms.py [--data DIR] [--quick] [--threads N] [--json]

Needs `pip install gguf llama-cpp-python` (the second compiles llama.cpp). Three students, each written as GGUF in every
form and run by llama.cpp on the CPU beside the model it came from in PyTorch:

- all-MiniLM-L6-v2 as a sentence encoder, on test texts of BANKING77: cosine between both vectors of each text, and
  whether the nearest other text is the same.
- A classifier of BANKING77's 77 intents: the same encoder, averaged over tokens, with a layer that is fitted to its
  vectors of the training texts (scikit-learn's logistic regression). Share of test texts with the same label as in
  PyTorch, and accuracy.
- A Llama-like language model of 1.4 million weights, trained here for some steps on Shakespeare's plays: largest
  difference of any next token's probability, share of contexts with the same likeliest token, and perplexity per
  token on the end of the text, which nobody learnt from.

Tokens are compared too: how many texts (of BANKING77; of multilingual tweets-like lines with emoji, made here)
llama.cpp reads as other ids than the student's tokenizer. Milliseconds are medians on `--threads` threads, one text at
a time; differences of sizes and likeness mean something on any machine, milliseconds only beside each other.

`--data` holds banking77/ and lm_text/.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read_rows, read_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trials import begin, finish, goal, parser_of, tell

import stillhouse
from stillhouse.bundle.answer import AnswerForm, Field
from stillhouse.bundle.manifest import Featurizer, Manifest
from stillhouse.bundle.prompt import PromptForm
from stillhouse.export.gguf import FORMS, MODEL, export_gguf
from stillhouse.export.llama_runtime import LlamaRuntime, read_alike
from stillhouse.export.subject import Kind, Subject
from stillhouse.export.verify import Samples, answers, compare, compare_vectors, in_turn
from stillhouse.extras import require, version
from stillhouse.models.tokenizers import Ids, TokenizerReader
from stillhouse.recipes.open_student import open_student
from stillhouse.students.encoder import EncoderStudent
from stillhouse.training.loop import Schedule

TOKENS = 128
HARD = (
    "I want my money back 😡😡",
    "ça va? naïve café Ångström",
    "２０２６年 请问 どこですか 한국어",
    "12345 3.14159 1e-9 №5 ½",
    "tabs\tand  two spaces\nand lines ",
    "it's WE'LL they'RE <b>html & entities;</b> a_b-c+d=e",
    "👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽",
    "العربية עברית हिन्दी ไทย русский",
)


def main() -> int:
    options = parser_of(__doc__).parse_args()
    require("gguf", "write GGUF")
    require("llamacpp", "run this benchmark")
    begin(options)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        found = {
            "embedding": embedding(options, home),
            "classifier": classifier(options, home),
            "language model": writer(options, home),
        }
    packages = {name: version(name) for name in ("gguf", "llama-cpp-python")}
    return finish("gguf_forms", options, started, {"packages": packages, **found, "targets": targets(found)}, show)


def embedding(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    subject = open_student("minilm")
    texts = [row["text"] for row in read_rows(options.data / "banking77" / "test.jsonl.gz")]
    return every_form("embedding", subject, drawn(texts, 50 if options.quick else 1_000), options, home)


def read(subject: Subject, texts: Sequence[str]) -> tuple[Ids, ...]:
    """The ids of each text, at most `TOKENS`."""
    return tuple(TokenizerReader(Tokenizer.from_file(str(subject.tokenizer)), TOKENS).ids(texts))


def drawn(rows: Sequence[Any], count: int) -> list[Any]:
    """So many of the rows, from the whole of the file."""
    chosen = np.random.default_rng(0).permutation(len(rows))[:count]
    return [rows[at] for at in sorted(chosen)]


def classifier(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    rows = read_rows(options.data / "banking77" / "train.jsonl.gz")
    tests = read_rows(options.data / "banking77" / "test.jsonl.gz")
    if options.quick:
        rows = drawn(rows, 400)
    subject = with_head(rows)
    tests = drawn(tests, 50 if options.quick else 1_000)
    names = subject.labels[0]
    truth = np.array([names.index(label(row)) if label(row) in names else -1 for row in tests])
    found = every_form("classifier", subject, [row["text"] for row in tests], options, home, truth)
    return {"labels": len(names), **found}


def label(row: dict[str, Any]) -> str:
    return str(row["label"])


def with_head(rows: list[dict[str, Any]]) -> Subject:
    """MiniLM with a layer of labels, fitted to its vectors of the rows: a student as `encoder-6` is."""
    from sklearn.linear_model import LogisticRegression

    opened = open_student("minilm")
    names = sorted({label(row) for row in rows})
    student = EncoderStudent(opened.module, len(names)).eval()
    samples = Samples(read(opened, [row["text"] for row in rows]))
    tell(f"vectors of {len(rows)} texts")
    with torch.no_grad():
        student.head.weight.copy_(torch.eye(len(names), student.head.in_features))
        states = mean_states(student, samples)
        fitted = LogisticRegression(C=100, max_iter=500).fit(states, [names.index(label(row)) for row in rows])
        student.head.weight.copy_(torch.from_numpy(fitted.coef_))
        student.head.bias.copy_(torch.from_numpy(fitted.intercept_))
    form = AnswerForm((Field(None, tuple(names)),), (0,))
    manifest = Manifest(
        "banking", "encoder-6", "labels", PromptForm(), form, Featurizer("tokenizer", TOKENS), (1.0,), None, {}
    )
    return Subject(
        Kind.CLASSIFIER,
        student,
        "encoder",
        opened.folder,
        (tuple(names),),
        opened.tokenizer,
        opened.config,
        manifest,
    )


def mean_states(student: EncoderStudent, samples: Samples) -> np.ndarray[Any, Any]:
    def speak(ids: Any, mask: Any) -> Any:
        given, kept = torch.from_numpy(ids), torch.from_numpy(mask)
        states = student.encoder(input_ids=given, attention_mask=kept).last_hidden_state
        weights = kept.unsqueeze(-1).float()
        return ((states * weights).sum(1) / weights.sum(1)).numpy()

    return in_turn(samples.ids, speak)


def writer(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """A small language model of plays, and every form of it."""
    text = read_text(options.data, "tinyshakespeare")
    learnt, held = text[: int(0.95 * len(text))], text[int(0.95 * len(text)) :]
    tokenizer = byte_level(learnt, 1_024)
    config = LlamaConfig(
        vocab_size=1_024,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|end|>", eos_token="<|end|>")
    passages = [learnt[at : at + 400] for at in range(0, len(learnt), 400)][: 200 if options.quick else 4_000]
    tell(f"training on {len(passages)} passages")
    schedule = Schedule(epochs=1 if options.quick else 4, rate=10)
    model = stillhouse.train(LlamaForCausalLM(config), passages, tokenizer=wrapped, schedule=schedule).student
    folder = home / "writer"
    model.eval().save_pretrained(folder)  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    wrapped.save_pretrained(folder)
    subject = open_student(folder)
    count = 4 if options.quick else 64
    contexts = [held[at : at + 300] for at in range(0, 300 * count, 300)]
    return every_form("language model", subject, contexts, options, home)


def byte_level(text: str, size: int) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([text], trainer)
    return made


def every_form(
    name: str, subject: Subject, texts: list[str], options: argparse.Namespace, home: Path, truth: Any = None
) -> dict[str, Any]:
    """What becomes of a student in each form."""
    samples = Samples(read(subject, texts), tuple(texts))
    expected = answers(subject, samples)
    own = milliseconds(lambda ids: answers(subject, Samples((ids,))), samples)
    found: dict[str, Any] = {"texts": len(texts), "pytorch": {"milliseconds": own, **told(subject, expected, truth)}}
    if subject.kind is Kind.LANGUAGE_MODEL:
        found["pytorch"]["perplexity"] = perplexity(subject, None, samples)
    forms = ("f32", "q8_0", "q4_0") if options.quick else FORMS
    for form in forms:
        tell(f"{name} in {form}")
        out = home / name.replace(" ", "-") / form
        export_gguf(subject, out, form)
        with LlamaRuntime(out / MODEL, subject.kind, 512, options.threads) as runtime:
            said = runtime.answers(subject, samples)
            embeds = subject.kind is Kind.EMBEDDING
            parity = compare_vectors(expected[0], said[0]) if embeds else compare(expected, said)
            found[form] = {
                "megabytes": (out / MODEL).stat().st_size / 1e6,
                "same answer": parity.agreement,
                "largest difference": parity.largest_difference,
                "milliseconds": milliseconds(one_by_one(runtime), samples),
                **told(subject, said, truth),
            }
            if embeds:
                found[form] |= cosines(expected[0], said[0])
            if subject.kind is Kind.LANGUAGE_MODEL:
                found[form]["perplexity"] = perplexity(subject, runtime, samples)
            if form == forms[0]:
                found["read otherwise"] = otherwise(runtime, subject, texts)
    return found


def told(subject: Subject, said: Any, truth: Any) -> dict[str, float]:
    return {} if truth is None else {"accuracy": float((said[0].argmax(1) == truth).mean())}


def cosines(one: Any, other: Any) -> dict[str, float]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found = (one * other).sum(1) / lengths
    return {"cosine": float(found.mean()), "smallest cosine": float(found.min())}


def otherwise(runtime: LlamaRuntime, subject: Subject, texts: list[str]) -> dict[str, Any]:
    assert subject.tokenizer is not None
    hard = read_alike(runtime, subject.tokenizer, HARD)
    return {"of texts": len(read_alike(runtime, subject.tokenizer, texts)), "of hard ones": hard, "hard": len(HARD)}


def one_by_one(runtime: LlamaRuntime) -> Callable[[Any], Any]:
    speak = runtime.next_token if runtime.kind is Kind.LANGUAGE_MODEL else runtime.pooled
    return lambda ids: speak(ids.tolist())


def milliseconds(speak: Callable[[Any], Any], samples: Samples) -> float:
    """The median of one text at a time, after a few to warm up."""
    spent = []
    for at, ids in enumerate(samples.ids[:60]):
        began = time.perf_counter()
        speak(ids)
        if at >= min(5, len(samples.ids) - 1):
            spent.append(1_000 * (time.perf_counter() - began))
    return statistics.median(spent)


def perplexity(subject: Subject, runtime: LlamaRuntime | None, samples: Samples) -> float:
    """exp of the mean cost of the last tokens of each context, each given all before it."""
    costs: list[float] = []
    for ids in samples.ids:
        for end in range(len(ids) - 8, len(ids)):
            scores = next_scores(subject, runtime, ids[:end])
            costs.append(float(np.logaddexp.reduce(scores) - scores[ids[end]]))
    return math.exp(statistics.mean(costs))


def next_scores(subject: Subject, runtime: LlamaRuntime | None, ids: Any) -> Any:
    if runtime is not None:
        return runtime.next_token(ids.tolist()).astype(np.float64)
    with torch.no_grad():
        return subject.module(torch.from_numpy(ids)[None]).logits[0, -1].double().numpy()


def targets(found: dict[str, Any]) -> list[dict[str, Any]]:
    vectors, labels, words = found["embedding"], found["classifier"], found["language model"]
    near, exact, eight = vectors["f32"]["smallest cosine"], labels["f32"]["same answer"], labels["q8_0"]["same answer"]
    off, unlike = words["f32"]["largest difference"], vectors["read otherwise"]["of texts"]
    return [
        goal("embedding in f32: smallest cosine", 0.9999, near, near >= 0.9999),
        goal("classifier in f32: same labels", 0.999, exact, exact >= 0.999),
        goal("classifier in q8_0: same labels", 0.99, eight, eight >= 0.99),
        goal("language model in f32: largest difference of a probability", 5e-3, off, off <= 5e-3),
        goal("BANKING77 texts that llama.cpp reads otherwise", 0, unlike, unlike == 0),
    ]


def show(result: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in ("embedding", "classifier", "language model"):
        lines += ["", f"{name}, {result[name]['texts']} texts; PyTorch: {result[name]['pytorch']}"]
        for form in FORMS:
            if form in result[name]:
                told = ", ".join(f"{key} {value:.4g}" for key, value in result[name][form].items())
                lines.append(f"  {form}: {told}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
