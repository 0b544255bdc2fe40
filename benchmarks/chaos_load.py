"""What clients do while servers are killed: steady work through the `openai` package, and a ledger of what was said."""

from __future__ import annotations

import hashlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import openai
from openai import OpenAI

MODEL, BASE = "large", "tiny"
END = {"succeeded", "failed", "cancelled", "completed", "canceled"}
SEEDS = 24
"""Stored completions that the runs of evals read."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Scale:
    """How much work there is in a job and a run."""

    rows: int
    """Of training files and evals."""
    epochs: int
    methods: tuple[str, ...] = ("sft", "dpo")
    """Kinds of jobs."""
    batch: int = 4


@dataclass
class Call:
    """A chat completion that was asked for: what it must look like if it is kept."""

    tag: str
    words: int
    streamed: bool
    id: str | None = None
    """Set once it was acknowledged."""
    metadata: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """What it may have: one, unless a change was not acknowledged."""
    deleting: bool = False
    deleted: bool = False

    @property
    def content(self) -> str:
        """What the stand-in answers."""
        return "".join(f"word{number} " for number in range(self.words))

    @property
    def messages(self) -> list[dict[str, str]]:
        """What is asked."""
        return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"This is call {self.tag}."}]


@dataclass
class Upload:
    """A file that was sent."""

    name: str
    digest: str
    id: str | None = None
    deleting: bool = False
    deleted: bool = False


@dataclass
class Ledger:
    """All that was sent and acknowledged."""

    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    files: dict[str, Upload] = field(default_factory=dict[str, Upload])
    runs: dict[str, str] = field(default_factory=dict[str, str])
    """The kind of every run that was acknowledged, by its id."""
    evals: dict[str, str] = field(default_factory=dict[str, str])
    """The id of the eval of each kind of run."""
    jobs: dict[str, str] = field(default_factory=dict[str, str])
    """The kind of every job that was acknowledged, by its id."""
    errors: Counter[str] = field(default_factory=Counter[str])
    """Calls that got no answer or an error, by what it was."""
    faults: list[str] = field(default_factory=list[str])
    """What must never happen."""


class Clients:
    """Threads of clients; each goes on until told to stop, whatever becomes of the server."""

    def __init__(self, base_url: str, scale: Scale, seed: int) -> None:
        self.client = OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=120)
        self.scale, self.seed, self.ledger = scale, seed, Ledger()
        self.enough = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin with all of it."""
        for number in range(3):
            self._begin(lambda chance, number=number: self._chat(chance, number), number)
        for number, duty in enumerate((self._upload, self._evaluate, self._tune), 10):
            self._begin(duty, number)

    def stop(self) -> None:
        """Have everybody end after what is in hand."""
        self.enough.set()
        for thread in self._threads:
            thread.join()

    def once(self) -> None:
        """Every kind of run and job once, to its end."""
        self.seed_completions()
        for kind in self.run_kinds():
            self.run(kind)
        for kind in self.job_kinds():
            self.job(kind)
        self.settle(600)

    def settle(self, seconds: float) -> None:
        """Back when every run and job is at its end; faults where they are not in time."""
        until = time.monotonic() + seconds
        waiting: list[str] = []
        while time.monotonic() < until:
            waiting = [each.id for each in [*self._all_runs(), *self._all_jobs()] if each.status not in END]
            if not waiting:
                return
            time.sleep(0.5)
        self.ledger.faults += [f"{name} has not come to its end within {seconds:g} seconds" for name in waiting]

    def attempt(self, do: Callable[[], Result]) -> tuple[bool, Result | None]:
        """What a call returned, and whether it was acknowledged."""
        try:
            return True, do()
        except openai.APIStatusError as error:
            self.ledger.errors[str(error.status_code)] += 1
            if error.status_code == 500:
                self.ledger.faults.append(f"answered with status 500: {error}")
        except openai.APIConnectionError as error:
            self.ledger.errors["no answer" if not isinstance(error, openai.APITimeoutError) else "too slow"] += 1
        except Exception as error:  # a stream that broke off
            self.ledger.errors[type(error).__name__] += 1
        self.enough.wait(0.1)
        return False, None

    def surely(self, do: Callable[[], Result]) -> Result:
        """What a call returned, made again until it is acknowledged."""
        for _ in range(3000):
            answered, result = self.attempt(do)
            if answered:
                return result  # pyright: ignore[reportReturnType]
        raise SystemExit("The server has not answered for minutes.")

    def _begin(self, duty: Callable[[random.Random], None], number: int) -> None:
        chance = random.Random(1000 * self.seed + number)

        def go_on() -> None:
            while not self.enough.is_set():
                try:
                    duty(chance)
                except Exception as error:
                    self.ledger.faults.append(f"A client failed: {error!r}")
                    return

        self._threads.append(threading.Thread(target=go_on))
        self._threads[-1].start()

    # Chat

    def seed_completions(self) -> None:
        """The stored completions that evals read, the same ones in every run of this script."""
        for number in range(SEEDS):
            call = Call(f"seed {number}", 10 + number, number % 2 == 0)
            self.ask(call, {"set": "seed"})
            if call.id is None:
                raise SystemExit("The server did not answer before anything was killed.")

    def ask(self, call: Call, metadata: dict[str, str]) -> None:
        """One call with `store: true`, in the ledger."""
        metadata = {**metadata, "tag": call.tag, "version": "0"}
        call.metadata = [metadata]
        self.ledger.calls[call.tag] = call
        options: Any = {"model": MODEL, "messages": call.messages, "max_tokens": call.words, "store": True}

        def ask() -> tuple[str, str]:
            if not call.streamed:
                answer = self.client.chat.completions.create(**options, metadata=metadata)
                return answer.id, answer.choices[0].message.content or ""
            said, name = "", ""
            for chunk in self.client.chat.completions.create(**options, metadata=metadata, stream=True):
                said, name = said + (chunk.choices[0].delta.content or ""), chunk.id
            return name, said

        answered, result = self.attempt(ask)
        if answered and result:
            call.id = result[0]
            if result[1] != call.content:
                self.ledger.faults.append(f"call {call.tag} was answered with {result[1]!r}")

    def _chat(self, chance: random.Random, number: int) -> None:
        mine = [call for call in self.ledger.calls.copy().values() if call.tag.startswith(f"{number}/")]
        self.ask(Call(f"{number}/{len(mine)}", chance.randint(1, 40), chance.random() < 0.4), {"set": "load"})
        known = [call for call in mine if call.id and not call.deleting]
        if known and chance.random() < 0.3:
            call = chance.choice(known)
            if chance.random() < 0.2:
                call.deleting = True
                call.deleted = self.attempt(lambda: self.client.chat.completions.delete(call.id or ""))[0]
            else:
                wanted = {**call.metadata[-1], "version": str(int(call.metadata[-1]["version"]) + 1)}
                call.metadata.append(wanted)
                if self.attempt(lambda: self.client.chat.completions.update(call.id or "", metadata=wanted))[0]:
                    call.metadata = [wanted]
        self.enough.wait(chance.uniform(0, 0.3))

    # Files

    def _upload(self, chance: random.Random) -> None:
        content = chance.randbytes(chance.randint(1, 300_000))
        name = f"{len(self.ledger.files)}.bin"
        upload = self.ledger.files[name] = Upload(name, hashlib.sha256(content).hexdigest())
        send = self._in_parts if chance.random() < 0.3 else self._at_once
        answered, file_id = self.attempt(lambda: send(name, content))
        upload.id = file_id if answered else None
        known = [each for each in self.ledger.files.values() if each.id and not each.deleting]
        if known and chance.random() < 0.2:
            gone = chance.choice(known)
            gone.deleting = True
            gone.deleted = self.attempt(lambda: self.client.files.delete(gone.id or ""))[0]
        self.enough.wait(chance.uniform(0, 1))

    def _at_once(self, name: str, content: bytes) -> str:
        return self.client.files.create(file=(name, content), purpose="user_data").id

    def _in_parts(self, name: str, content: bytes) -> str:
        uploads, half = self.client.uploads, len(content) // 2
        mime: Any = {"mime_type": "application/octet-stream", "purpose": "user_data"}
        whole = uploads.create(bytes=len(content), filename=name, **mime)
        pieces = [piece for piece in (content[:half], content[half:]) if piece]
        parts = [uploads.parts.create(whole.id, data=io.BytesIO(piece)).id for piece in pieces]
        done = uploads.complete(whole.id, part_ids=parts)
        assert done.file
        return done.file.id

    # Evals

    def run_kinds(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """What each kind of run is of: the eval's data source, and the run's."""
        rows = [{"item": {"number": number, "expect": f"word{number % 32} "}} for number in range(2 * self.scale.rows)]
        schema = {
            "type": "object",
            "properties": {"number": {"type": "integer"}, "expect": {"type": "string"}},
            "required": ["number", "expect"],
        }
        custom = {"type": "custom", "item_schema": schema, "include_sample_schema": True}
        stored = {"type": "stored_completions", "metadata": {"set": "seed"}}
        ask = {"type": "template", "template": [{"role": "user", "content": "Row {{item.number}}"}]}
        again = {"type": "item_reference", "item_reference": "item.input"}
        content = {"type": "file_content", "content": rows}
        sampled = {"type": "completions", "model": MODEL}
        return {
            "content": (custom, {**sampled, "input_messages": ask, "source": content}),
            "recorded": (stored, {"type": "completions", "source": stored}),
            "resampled": (stored, {**sampled, "input_messages": again, "source": stored}),
        }

    def run(self, kind: str) -> None:
        """Order one run of a kind, and its eval where there is none yet."""
        config, source = self.run_kinds()[kind]
        reference = "{{item.expect}}" if kind == "content" else "word14 "
        criterion: Any = {
            "type": "string_check",
            "name": "has the word",
            "input": "{{sample.output_text}}",
            "reference": reference,
            "operation": "like",
        }
        if kind not in self.ledger.evals:
            made = self.surely(
                lambda: self.client.evals.create(name=kind, data_source_config=config, testing_criteria=[criterion])  # pyright: ignore[reportArgumentType]
            )
            self.ledger.evals[kind] = made.id
        of = self.ledger.evals[kind]
        run = self.surely(lambda: self.client.evals.runs.create(of, name=kind, data_source=source))  # pyright: ignore[reportArgumentType, reportCallIssue]
        self.ledger.runs[run.id] = kind

    def _evaluate(self, chance: random.Random) -> None:
        self.run(chance.choice(list(self.run_kinds())))
        while not self.enough.wait(1):
            answered, runs = self.attempt(self._all_runs)
            if answered and sum(run.status not in END for run in runs or ()) < 3:
                break

    def _all_runs(self) -> list[Any]:
        runs = self.client.evals.runs
        return [run for of in set(self.ledger.evals.values()) for run in runs.list(of, limit=100)]

    # Jobs

    def job_kinds(self) -> dict[str, Any]:
        """What each kind of job learns by."""
        figures = {"n_epochs": self.scale.epochs, "batch_size": self.scale.batch}
        kinds = {
            "sft": {"type": "supervised", "supervised": {"hyperparameters": figures}},
            "dpo": {"type": "dpo", "dpo": {"hyperparameters": {**figures, "beta": 0.1}}},
        }
        return {name: kinds[name] for name in self.scale.methods}

    def job(self, kind: str) -> None:
        """Order one job of a kind."""
        rows = _conversations(self.scale.rows) if kind == "sft" else _pairs(self.scale.rows)
        split = len(rows) - len(rows) // 6
        files = [
            self._training_file(f"{kind} {number}.jsonl", part) for number, part in enumerate((rows, rows[split:]))
        ]
        job = self.surely(
            lambda: self.client.fine_tuning.jobs.create(
                model=BASE,
                training_file=files[0],
                validation_file=files[1],
                suffix=kind,
                seed=7,
                method=self.job_kinds()[kind],
            )
        )
        self.ledger.jobs[job.id] = kind

    def _training_file(self, name: str, rows: list[dict[str, Any]]) -> str:
        content = "\n".join(map(json.dumps, rows)).encode()
        return self.surely(lambda: self.client.files.create(file=(name, content), purpose="fine-tune")).id

    def _tune(self, chance: random.Random) -> None:
        for kind in self.job_kinds():
            self.job(kind)
        while not self.enough.wait(2):
            answered, jobs = self.attempt(self._all_jobs)
            if answered and all(job.status in END for job in jobs or ()):
                break

    def _all_jobs(self) -> list[Any]:
        return list(self.client.fine_tuning.jobs.list(limit=100))


def _conversations(count: int) -> list[dict[str, Any]]:
    def row(number: int) -> dict[str, Any]:
        said = [{"role": "user", "content": f"twice {number}"}, {"role": "assistant", "content": str(2 * number)}]
        return {"messages": said}

    return [row(number) for number in range(1, count + 1)]


def _pairs(count: int) -> list[dict[str, Any]]:
    def row(number: int) -> dict[str, Any]:
        return {
            "input": {"messages": [{"role": "user", "content": f"twice {number}"}]},
            "preferred_output": [{"role": "assistant", "content": str(2 * number)}],
            "non_preferred_output": [{"role": "assistant", "content": str(number)}],
        }

    return [row(number) for number in range(1, count + 1)]


def save_base(folder: Path) -> None:
    """A language model of a few thousand weights that reads bytes, the same one every time."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|pad|>": 0, "<|end|>": 1} | {letter: at + 2 for at, letter in enumerate(letters)}
    inner = Tokenizer(models.BPE(vocabulary, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # pyright: ignore[reportAttributeAccessIssue]
    inner.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    reads = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<|pad|>", eos_token="<|end|>")
    reads.chat_template = (
        "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    reads.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
