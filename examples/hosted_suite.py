"""The workflows that people ran on the hosted distillation suite, with the unmodified `openai` package.

Alone it trains a small teacher and a smaller base model, serves both, and does everything with them. To do the same
with a server and models of your own:

    python examples/hosted_suite.py --base-url http://127.0.0.1:8000/v1 --teacher NAME --base NAME
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openai import OpenAI

SYSTEM = "Sort the request."
SAID = {
    "refund": ("i want my money back for the {}", "please refund the {}", "the {} is broken, return the payment"),
    "delivery": ("where is my {}", "the {} has not arrived", "when will the {} be delivered"),
    "login": ("i cannot sign in to see the {}", "my password fails when i order the {}", "the {} page locks me out"),
    "praise": ("the {} is wonderful", "thank you for the {}", "i love the {}, well done"),
}
THINGS = ("lamp", "coat", "phone", "chair", "camera", "kettle", "tent", "clock", "bike", "guitar", "desk", "radio")
SCHEMA = {
    "type": "object",
    "properties": {"intent": {"type": "string", "enum": list(SAID)}},
    "required": ["intent"],
    "additionalProperties": False,
}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "sorted", "strict": True, "schema": SCHEMA}}
END = {"succeeded", "failed", "cancelled", "completed", "canceled"}


def main(words: Sequence[str] = ()) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="an OpenAI-compatible server; without it, one is started")
    parser.add_argument("--api-key", default="unused")
    parser.add_argument("--teacher", default="teacher", help="the large model's name there")
    parser.add_argument("--base", default="base", help="the model to fine-tune")
    asked = parser.parse_args(words)
    if asked.base_url:
        return run(OpenAI(base_url=asked.base_url, api_key=asked.api_key), asked.teacher, asked.base)
    with TemporaryDirectory() as folder, served(Path(folder)) as base_url:
        return run(OpenAI(base_url=base_url, api_key=asked.api_key), asked.teacher, asked.base)


def run(client: OpenAI, teacher: str, base: str) -> dict[str, Any]:
    """Every workflow, one after the other; what came out."""
    train, test = split()
    found: dict[str, Any] = {}
    flows: dict[str, Callable[[], Any]] = {
        "distillation": lambda: distillation(client, teacher, base, train, test),
        "monitoring": lambda: monitoring(client, teacher, test[:20]),
        "regression": lambda: regression(client, teacher, test[:20]),
        "bulk": lambda: bulk(client, (teacher, base), test[:16]),
        "chat_tuning": lambda: chat_tuning(client, base, train, test),
        "preferences": lambda: preferences(client, found["chat_tuning"]["model"], train, test),
    }
    for name, flow in flows.items():
        started = time.monotonic()
        found[name] = flow()
        print(f"{name:<13}{time.monotonic() - started:6.1f} s  {json.dumps(found[name])}", flush=True)
    return found


def distillation(client: OpenAI, teacher: str, base: str, train: list[str], test: list[str]) -> dict[str, Any]:
    """Store the teacher's answers, list them, make them a training file, tune the base, compare on unseen requests."""
    before = {"teacher": accuracy(client, teacher, test), "base": accuracy(client, base, test)}
    ask_all(client, teacher, train, store=True, metadata={"distillation": "requests"})
    lines = []
    for stored in client.chat.completions.list(model=teacher, metadata={"distillation": "requests"}, limit=50):
        messages = [
            {"role": each.role, "content": each.content} for each in client.chat.completions.messages.list(stored.id)
        ]
        lines.append({"messages": [*messages, {"role": "assistant", "content": stored.choices[0].message.content}]})
    job = tune(client, base, upload(client, lines, "fine-tune"), hyperparameters={"n_epochs": 8})
    return {"rows": len(lines), **before, "distilled": accuracy(client, job.fine_tuned_model, test)}


def monitoring(client: OpenAI, teacher: str, test: list[str]) -> dict[str, Any]:
    """Grade stored completions of two versions of a prompt, then what another model says to the same inputs."""
    for version, system in (("v1", SYSTEM), ("v2", "Sort the request, please.")):
        ask_all(client, teacher, test, system=system, store=True, metadata={"use": "desk", "version": version})
    kinds = json.dumps({"labels": list(SAID)})
    one = client.evals.create(
        name="desk",
        data_source_config={"type": "stored_completions", "metadata": {"use": "desk"}},
        testing_criteria=[
            {
                "type": "label_model",
                "name": "judge",
                "model": teacher,
                "input": [{"role": "user", "content": f"Is it sorted well? {kinds} {{{{sample.output_text}}}}"}],
                "labels": ["yes", "no"],
                "passing_labels": ["yes", "no"],
            },
            {
                "type": "string_check",
                "name": "is JSON",
                "input": "{{sample.output_text}}",
                "reference": '{"intent":',
                "operation": "like",
            },
        ],
    )
    counts = {}
    for version in ("v1", "v2"):
        source: Any = {"type": "stored_completions", "metadata": {"use": "desk", "version": version}}
        counts[version] = graded(client, one.id, {"type": "completions", "source": source}, version)
    again: Any = {
        "type": "completions",
        "model": teacher,
        "input_messages": {"type": "item_reference", "item_reference": "item.input"},
        "source": {"type": "stored_completions", "metadata": {"use": "desk", "version": "v1"}},
        "sampling_params": {"temperature": 0, "response_format": FORM},
    }
    return {**counts, "sampled anew": graded(client, one.id, again, "anew")}


def regression(client: OpenAI, teacher: str, test: list[str]) -> dict[str, Any]:
    """Grade answers that are there already, given row by row."""
    answers = ask_all(client, teacher, test)
    one = client.evals.create(
        name="regression",
        data_source_config={
            "type": "custom",
            "item_schema": {"type": "object", "properties": {"intent": {"type": "string"}}, "required": ["intent"]},
            "include_sample_schema": True,
        },
        testing_criteria=[same_intent()],
    )
    rows = [
        {"item": {"intent": intent(text)}, "sample": answer.model_dump()}
        for text, answer in zip(test, answers, strict=True)
    ]
    return graded(client, one.id, {"type": "jsonl", "source": {"type": "file_content", "content": rows}}, "as recorded")


def bulk(client: OpenAI, models: Sequence[str], test: list[str]) -> dict[str, Any]:
    """Three prompts by two models, all runs at once."""
    one = client.evals.create(
        name="prompts",
        data_source_config={
            "type": "custom",
            "item_schema": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "intent": {"type": "string"}},
                "required": ["text", "intent"],
            },
            "include_sample_schema": True,
        },
        testing_criteria=[same_intent()],
    )
    rows = [{"item": {"text": text, "intent": intent(text)}} for text in test]
    prompts = (SYSTEM, "Sort it.", "What kind of request is it?")
    runs = []
    for model, prompt in itertools.product(models, prompts):
        template = [{"role": "system", "content": prompt}, {"role": "user", "content": "{{item.text}}"}]
        source: Any = {
            "type": "completions",
            "model": model,
            "input_messages": {"type": "template", "template": template},
            "sampling_params": {"temperature": 0, "response_format": FORM, "max_completion_tokens": 30},
            "source": {"type": "file_content", "content": rows},
        }
        runs.append(client.evals.runs.create(one.id, name=f"{model}: {prompt}", data_source=source))
    return {run.name: share(wait_for_run(client, one.id, run.id)) for run in runs}


def chat_tuning(client: OpenAI, base: str, train: list[str], test: list[str]) -> dict[str, Any]:
    """Two files, a suffix, the events, and the tuned model asked as any other."""
    files = [upload(client, [chat_row(text) for text in texts], "fine-tune") for texts in (train, test[:20])]
    job = tune(client, base, files[0], validation_file=files[1], suffix="desk", hyperparameters={"n_epochs": 8})
    events = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    result = client.files.content(job.result_files[0]).text.splitlines()
    return {
        "model": job.fine_tuned_model,
        "accuracy": accuracy(client, job.fine_tuned_model, test),
        "events": len(events),
        "last": events[0],
        "checkpoints": len(checkpoints),
        "columns": result[0],
    }


def preferences(client: OpenAI, model: str, train: list[str], test: list[str]) -> dict[str, Any]:
    """Learn from pairs of answers, the right one preferred to a wrong one."""
    rows = []
    for text in train[:60]:
        good, bad = answer_of(intent(text)), answer_of(next(other for other in SAID if other != intent(text)))
        rows.append(
            {
                "input": {"messages": question(text)},
                "preferred_output": [{"role": "assistant", "content": good}],
                "non_preferred_output": [{"role": "assistant", "content": bad}],
            }
        )
    options = {"n_epochs": 2, "beta": 0.1, "batch_size": 8}
    method: Any = {"type": "dpo", "dpo": {"hyperparameters": options}}
    file = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
    file.name = "pairs.jsonl"
    training = client.files.create(file=file, purpose="fine-tune").id
    job = wait_for_job(client, client.fine_tuning.jobs.create(model=model, training_file=training, method=method).id)
    return {"model": job.fine_tuned_model, "accuracy": accuracy(client, job.fine_tuned_model, test)}


def same_intent() -> Any:
    return {
        "type": "string_check",
        "name": "same intent",
        "input": "{{sample.output_json.intent}}",
        "reference": "{{item.intent}}",
        "operation": "eq",
    }


def graded(client: OpenAI, eval_id: str, source: Any, name: str) -> dict[str, Any]:
    """A run carried out; its counts, and how many output items it lists."""
    run = wait_for_run(client, eval_id, client.evals.runs.create(eval_id, name=name, data_source=source).id)
    items = list(client.evals.runs.output_items.list(run.id, eval_id=eval_id))
    return {**share(run), "items": len(items), "page": run.report_url.startswith("http")}


def share(run: Any) -> dict[str, Any]:
    counts = run.result_counts
    return {"status": run.status, "passed": counts.passed, "of": counts.total, "errored": counts.errored}


def wait_for_run(client: OpenAI, eval_id: str, run_id: str) -> Any:
    while (run := client.evals.runs.retrieve(run_id, eval_id=eval_id)).status not in END:
        time.sleep(0.2)
    return run


def wait_for_job(client: OpenAI, job_id: str) -> Any:
    while (job := client.fine_tuning.jobs.retrieve(job_id)).status not in END:
        time.sleep(0.5)
    if job.status != "succeeded":
        raise SystemExit(f"{job_id} ended as {job.status}: {job.error}")
    return job


def tune(client: OpenAI, model: str, training_file: str, **options: Any) -> Any:
    method: Any = {"type": "supervised", "supervised": {"hyperparameters": options.pop("hyperparameters")}}
    job = client.fine_tuning.jobs.create(model=model, training_file=training_file, method=method, seed=1, **options)
    return wait_for_job(client, job.id)


def upload(client: OpenAI, rows: list[dict[str, Any]], purpose: Any) -> str:
    content = "\n".join(json.dumps(row) for row in rows).encode()
    return client.files.create(file=("rows.jsonl", content), purpose=purpose).id


def ask_all(client: OpenAI, model: str, texts: list[str], system: str = SYSTEM, **options: Any) -> list[Any]:
    def ask(text: str) -> Any:
        return client.chat.completions.create(
            model=model, messages=question(text, system), temperature=0, max_tokens=30, response_format=FORM, **options
        )

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(ask, texts))


def accuracy(client: OpenAI, model: str, texts: list[str]) -> float:
    answers = ask_all(client, model, texts)
    right = [
        json.loads(a.choices[0].message.content)["intent"] == intent(t) for t, a in zip(texts, answers, strict=True)
    ]
    return round(sum(right) / len(right), 3)


def question(text: str, system: str = SYSTEM) -> Any:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


def answer_of(label: str) -> str:
    return json.dumps({"intent": label})


def chat_row(text: str) -> dict[str, Any]:
    return {"messages": [*question(text), {"role": "assistant", "content": answer_of(intent(text))}]}


def intent(text: str) -> str:
    return INTENT[text]


def split() -> tuple[list[str], list[str]]:
    """Requests to learn from, and others."""
    texts = sorted(INTENT)
    random.Random(0).shuffle(texts)
    return texts[:100], texts[100:]


INTENT = {form.format(thing): label for label, forms in SAID.items() for form in forms for thing in THINGS}
"""What each request is."""


@contextmanager
def served(home: Path) -> Generator[str]:
    """A server with a teacher that knows the answers and a smaller base that knows only their form."""
    train, _ = split()
    wrong = random.Random(1)
    make_model(home / "teacher", [chat_row(text) for text in INTENT], width=64, layers=2, epochs=12)
    guesses = [
        {"messages": [*question(text), {"role": "assistant", "content": answer_of(wrong.choice(list(SAID)))}]}
        for text in train
    ]
    make_model(home / "base", guesses, width=48, layers=1, epochs=6)
    (home / "stillhouse.toml").write_text('[models]\nteacher = "teacher"\nbase = "base"\n')
    command = [sys.executable, "-m", "stillhouse", "serve", "--home", str(home), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["base_url"]
        finally:
            server.terminate()
            server.wait(30)


def make_model(folder: Path, rows: list[dict[str, Any]], width: int, layers: int, epochs: int) -> None:
    """A language model of a few thousand weights, trained here on a few answers."""
    import torch
    from distil_language_model import tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    import stillhouse
    from stillhouse.training.loop import Schedule

    torch.manual_seed(0)
    reads = tokenizer(rows)
    config = LlamaConfig(
        vocab_size=384,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * width,
        max_position_embeddings=256,
    )
    schedule = Schedule(epochs=epochs, rate=10, evaluations=2)
    model: Any = stillhouse.train(LlamaForCausalLM(config), rows, tokenizer=reads, schedule=schedule).student
    model.save_pretrained(folder)
    reads.save_pretrained(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
