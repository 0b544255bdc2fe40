"""What the tests of whole runs share: recorded calls, a tiny encoder, the command line, and a served bundle."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from openai import OpenAI
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

from stillhouse.cli import main
from stillhouse.gateway.app import create_app
from stillhouse.gateway.house import House
from stillhouse.inference.onnx_classifier import OnnxClassifier
from tests.gateway.serving import served
from tests.models import tiny
from tests.recipes.small import shrink

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "You sort the mail of a shop. Answer with the label only."
FILLER = "my the a please now again today still really help me with it was and then order since week monday phone"
LABELS = ("billing", "shipping", "repair")
SORRY = "I am sorry, but I cannot sort this mail without knowing more about the customer of case"
WORDS = ("--encoder", "none", "--student", "words")


def texts(topics: Sequence[int], seed: int = 0) -> list[str]:
    """A request about each topic: words that tell it, among words that do not, no two alike."""
    draw = random.Random(seed)
    made = []
    for topic in topics:
        words = [*draw.choices(FILLER.split(), k=draw.randint(5, 12)), f"thing{topic}", f"matter{topic}"]
        draw.shuffle(words)
        made.append(f"{' '.join(words)} {draw.randint(100, 99_999)}")
    return made


def chat(text: str, answer: str | None, **more: object) -> dict:
    """A fine-tuning row."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
    return {"messages": messages + ([] if answer is None else [{"role": "assistant", "content": answer}]), **more}


def calls(answers: Sequence[str], rows: int = 240, seed: int = 0) -> list[dict]:
    """Rows that go through the answers in turn."""
    topics = [row % len(answers) for row in range(rows)]
    return [chat(text, answers[topic]) for text, topic in zip(texts(topics, seed), topics, strict=True)]


def write(path: Path, rows: Sequence[dict | str]) -> Path:
    """A JSONL file."""
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        """The one object on standard output."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no plain number"))


def run(*arguments: object) -> Done:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main.run([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), " ".join(err.getvalue().split()))


def distil(traffic: Path, folder: Path, *options: object) -> dict:
    """Distil in this process, into `folder/student`; the object that `--json` prints."""
    place = ("--out", folder / "student", "--home", folder / "home", "--json")
    done = run("distill", traffic, *place, *(options or WORDS))
    assert done.code == 0, done.err
    return done.json


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start a command line in a process of its own, in small."""
    command = [sys.executable, "-m", "tests.recipes.small", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes, preexec_fn=_heed)


def _heed() -> None:
    """Ctrl-C ends the process, also where whoever runs the tests ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def client(bundle: Path) -> Generator[OpenAI]:
    """The `openai` client of a served bundle."""
    with served(create_app(House.of([OnnxClassifier.open(bundle, 1)]))) as url:
        yield OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0)


def answers(bundle: Path, rows: Sequence[dict]) -> list[str]:
    """What a served bundle says to the prompts of some rows."""
    with client(bundle) as ask:
        return [
            ask.chat.completions.create(model=bundle.name, messages=row["messages"][:2]).choices[0].message.content
            for row in rows
        ]


@contextmanager
def one_core() -> Generator[None]:
    """Stay on one core, each process of pytest-xdist on its own: small steps only wait for each other on two."""
    cores = sorted(os.sched_getaffinity(0))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.sched_setaffinity(0, {cores[-1 - number % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def small_runs() -> Generator[None]:
    """Runs take a second or two, on one core."""
    with one_core(), pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        yield


@pytest.fixture(scope="package", autouse=True)
def in_small() -> Iterator[None]:
    """Every run of a folder's tests is a small one."""
    with small_runs():
        yield


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Transformers folder: two small blocks with random weights, and a tokenizer learnt from the requests."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=list(tiny.SPECIALS), show_progress=False)
    tokenizer.train_from_iterator(texts([row % 3 for row in range(200)]), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    sizes = tiny.SIZES | {"vocab_size": tokenizer.get_vocab_size(), "num_hidden_layers": 2}
    return tiny.save(tmp_path_factory.mktemp("encoder"), BertModel(BertConfig(**sizes)), tokenizer)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `calls.jsonl`, the `student` made of it, and its `home`."""
    folder = tmp_path_factory.mktemp("plain")
    with small_runs():
        (folder / "printed.json").write_text(json.dumps(distil(write(folder / "calls.jsonl", calls(LABELS)), folder)))
    return folder


@pytest.fixture(scope="session")
def encoded(plain: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of an encoder of one block."""
    folder = tmp_path_factory.mktemp("encoded")
    with small_runs():
        distil(plain / "calls.jsonl", folder, "--encoder", tiny_encoder, "--student", "encoder-1")
    return folder / "student"
