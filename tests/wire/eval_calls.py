"""Evals by whatever `openai` client this interpreter has, as its published workflows go: prints one JSON of the ends.

`python eval_calls.py BASE_URL`; imports nothing of ours, so that an old client can run it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import openai
from openai import AsyncOpenAI, OpenAI

ITEM = {"type": "object", "properties": {"q": {"type": "string"}, "a": {"type": "string"}}, "required": ["q"]}
CUSTOM = {"type": "custom", "item_schema": ITEM, "include_sample_schema": True}
CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.a}}",
    "operation": "eq",
}
TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"symbols": {"type": "array"}}}},
}
SYMBOLS = {
    "type": "json_schema",
    "json_schema": {
        "name": "symbols",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"symbols": {"type": "array", "items": {"type": "string"}}},
            "required": ["symbols"],
            "additionalProperties": False,
        },
    },
}


def judge(name: str, text: str) -> dict:
    return {
        "type": "score_model",
        "name": name,
        "model": "judge",
        "range": [1, 7],
        "pass_threshold": 2.5,
        "input": [
            {"role": "system", "content": "Rate it."},
            {"role": "user", "content": text},
        ],
    }


def main(base_url: str) -> dict:
    """What came of every workflow."""
    with OpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        return {
            "version": openai.__version__,
            "regression": regression(client),
            "structured": structured(client),
            "bulk": asyncio.run(bulk(base_url)),
            "monitoring": asyncio.run(monitoring(base_url)),
            "cancelled": cancelled(client),
            "missing": missing(client),
        }


def finished(client, eval_id: str, run_id: str):
    """A run once it is done, polled as the notebooks do."""
    for _ in range(2400):
        run = client.evals.runs.retrieve(run_id=run_id, eval_id=eval_id)
        if run.status in ("completed", "failed"):
            return run
        time.sleep(0.05)
    raise TimeoutError(run_id)


async def finished_async(client, eval_id: str, run_id: str):
    for _ in range(2400):
        run = await client.evals.runs.retrieve(run_id=run_id, eval_id=eval_id)
        if run.status in ("completed", "failed"):
            return run
        await asyncio.sleep(0.05)
    raise TimeoutError(run_id)


def counts(run) -> list:
    told = run.result_counts
    return [run.status, told.total, told.passed, told.failed, told.errored]


def regression(client) -> dict:
    """Samples that were made beforehand, in two versions."""
    made = client.evals.create(
        name="regression", data_source_config=CUSTOM, testing_criteria=[CHECK], metadata={"a": "b"}
    )
    ends = []
    for model in ("shouts", "echoes"):
        content = []
        for text in ("one two", "three"):
            completion = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
            content.append({"item": {"q": text, "a": text.upper()}, "sample": completion.model_dump()})
        source = {"type": "jsonl", "source": {"type": "file_content", "content": content}}
        run = client.evals.runs.create(eval_id=made.id, name=model, data_source=source)
        ends.append(finished(client, made.id, run.id))
    listed = [run.id for run in client.evals.runs.list(eval_id=made.id, limit=1)]
    changed = client.evals.update(made.id, name="renamed")
    gone = client.evals.delete(made.id)
    return {
        "ends": [counts(run) for run in ends],
        "report": ends[0].report_url.startswith(str(client.base_url).replace("/v1/", "/evals/")),
        "listed": listed == [run.id for run in ends],
        "changed": [changed.name, changed.metadata],
        "gone": [gone.deleted, gone.eval_id == made.id],
    }


def structured(client) -> dict:
    """Answers in JSON and calls of tools, judged by what is in them."""
    ends = {}
    for kind, more, path in (
        ("json", {"response_format": SYMBOLS}, "{{sample.output_json.symbols}}"),
        ("tools", {"tools": [TOOL]}, "{{sample.output_tools[0].function.arguments.symbols}}"),
    ):
        made = client.evals.create(
            name=kind, data_source_config=CUSTOM, testing_criteria=[judge("complete", f"{path} of {{{{item.q}}}}")]
        )
        file = client.files.create(
            file=(f"{kind}.jsonl", b'{"item": {"q": "alpha beta"}}\n{"item": {"q": "gamma"}}\n'), purpose="evals"
        )
        run = client.evals.runs.create(
            eval_id=made.id,
            data_source={
                "type": "completions",
                "model": "echoes",
                "source": {"type": "file_id", "id": file.id},
                "input_messages": {
                    "type": "template",
                    "template": [
                        {"type": "message", "role": "user", "content": {"type": "input_text", "text": "{{item.q}}"}}
                    ],
                },
                "sampling_params": {"temperature": 0, "max_completions_tokens": 100, **more},
            },
        )
        run = finished(client, made.id, run.id)
        items = list(client.evals.runs.output_items.list(run.id, eval_id=made.id))
        ends[kind] = {
            "end": counts(run),
            "output": [item.sample.output[0].content for item in items],
            "scores": [result_of(item)["score"] for item in items],
            "said": json.loads(result_of(items[0])["sample"]["output"][0]["content"])["result"],
            "usage": sorted(usage.model_name for usage in run.per_model_usage),
        }
    return ends


def result_of(item) -> dict:
    """Results are dicts in old clients and models in new ones."""
    result = item.results[0]
    return result if isinstance(result, dict) else result.model_dump()


async def bulk(base_url: str) -> dict:
    """Three prompts by two models, all at once."""
    async with AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        made = await client.evals.create(name="bulk", data_source_config=CUSTOM, testing_criteria=[CHECK])
        rows = [{"item": {"q": f"row {n}", "a": f"ROW {n}"}} for n in range(10)]

        async def one(model: str, prompt: str):
            source = {
                "type": "completions",
                "source": {"type": "file_content", "content": rows},
                "model": model,
                "input_messages": {
                    "type": "template",
                    "template": [
                        {"role": "developer", "content": "Answer."},
                        {"role": "user", "content": prompt},
                    ],
                },
            }
            run = await client.evals.runs.create(made.id, name=f"{model}: {prompt}", data_source=source)
            return await finished_async(client, made.id, run.id)

        prompts = ["{{item.q}}", "{{ item.q }}!", "so: {{item.q}}"]
        runs = await asyncio.gather(*[one(model, prompt) for model in ("shouts", "echoes") for prompt in prompts])
        return {run.name: counts(run) for run in runs}


async def monitoring(base_url: str) -> dict:
    """What was stored, judged; then the same questions asked of another model."""
    tag = openai.__version__
    async with AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        texts = ["first one here", "second", "third one is here"]
        await asyncio.gather(
            *[
                client.chat.completions.create(
                    model="echoes",
                    messages=[{"role": "system", "content": "Summarize."}, {"role": "user", "content": text}],
                    store=True,
                    metadata={"usecase": tag, "prompt_version": "v2" if text == "second" else "v1"},
                )
                for text in texts
            ]
        )
        made = await client.evals.create(
            name="watch",
            data_source_config={"type": "stored_completions", "metadata": {"usecase": tag}},
            testing_criteria=[judge("long", "{{sample.output_text}}")],
        )
        ends = {}
        for version in ("v1", "v2"):
            source = {"type": "stored_completions", "metadata": {"prompt_version": version}}
            run = await client.evals.runs.create(
                made.id, name=version, data_source={"type": "completions", "source": source}
            )
            ends[version] = counts(await finished_async(client, made.id, run.id))
        run = await client.evals.runs.create(
            made.id,
            name="anew",
            data_source={
                "type": "completions",
                "model": "shouts",
                "source": {"type": "stored_completions"},
                "input_messages": {"type": "item_reference", "item_reference": "item.input"},
            },
        )
        run = await finished_async(client, made.id, run.id)
        items = [item async for item in client.evals.runs.output_items.list(run.id, eval_id=made.id, limit=2)]
        ends["anew"] = counts(run)
        ends["said"] = sorted(item.sample.output[0].content for item in items)
        return ends


def cancelled(client) -> list:
    """A run is cancelled by whatever path the client takes; what is at its end stays there."""
    made = client.evals.create(name="long", data_source_config=CUSTOM, testing_criteria=[CHECK])
    rows = [{"item": {"q": f"slowly {n}", "a": "x"}} for n in range(200)]
    source = {
        "type": "completions",
        "source": {"type": "file_content", "content": rows},
        "model": "echoes",
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{item.q}}"}]},
    }
    run = client.evals.runs.create(made.id, data_source=source)
    canceled = client.evals.runs.cancel(run.id, eval_id=made.id)
    deleted = client.evals.runs.delete(run.id, eval_id=made.id)
    return [canceled.status, deleted.deleted]


def missing(client) -> list:
    try:
        client.evals.retrieve("eval_none")
    except openai.NotFoundError as error:
        return [error.code, error.param]
    return []


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
