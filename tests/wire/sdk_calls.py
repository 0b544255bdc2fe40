"""Calls a served student in every way with whichever `openai` package runs this; prints what came back as JSON."""

import asyncio
import json
import sys

import openai
from openai import AsyncOpenAI, OpenAI


def main(base_url: str, model: str, messages: list) -> dict:
    client = OpenAI(base_url=base_url, api_key="k", max_retries=0, _strict_response_validation=True)
    create = client.chat.completions.create
    plain = create(model=model, messages=messages, temperature=0.2, seed=7, max_tokens=50)
    copies = create(model=model, messages=messages, n=3)
    sure = create(model=model, messages=messages, logprobs=True, top_logprobs=2)
    chunks = list(create(model=model, messages=messages, stream=True, stream_options={"include_usage": True}))
    with client.chat.completions.stream(model=model, messages=messages, logprobs=True) as stream:
        whole = stream.get_final_completion()
    try:
        create(model="nobody", messages=messages)
        missing = None
    except openai.NotFoundError as error:
        missing = [error.code, error.param, error.request_id]
    return {
        "version": openai.__version__,
        "plain": plain.choices[0].message.content,
        "finish_reason": plain.choices[0].finish_reason,
        "total_tokens": plain.usage.total_tokens,
        "copies": [choice.message.content for choice in copies.choices],
        "tokens": [[piece.token, piece.logprob, len(piece.top_logprobs)] for piece in sure.choices[0].logprobs.content],
        "streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
        "stream_usage": chunks[-1].usage.total_tokens,
        "assembled": whole.choices[0].message.content,
        "assembled_tokens": [piece.token for piece in whole.choices[0].logprobs.content],
        "asynchronous": asyncio.run(asynchronous(base_url, model, messages)),
        "models": [each.id for each in client.models.list()],
        "model": client.models.retrieve(model).id,
        "missing": missing,
        "stored": stored(base_url, model, messages),
    }


def stored(base_url: str, model: str, messages: list) -> dict:
    """What becomes of calls that are kept: listed page by page, filtered, read, changed and deleted."""
    client = OpenAI(base_url=base_url, api_key="k", max_retries=0)
    completions, version = client.chat.completions, openai.__version__
    made = [
        completions.create(model=model, messages=messages, store=True, metadata={"sdk": version, "number": str(number)})
        for number in range(3)
    ]
    list(completions.create(model=model, messages=messages, store=True, metadata={"sdk": version}, stream=True))
    mine = list(completions.list(model=model, metadata={"sdk": version}, limit=2, order="asc"))
    changed = completions.update(made[0].id, metadata={"sdk": version, "new": "a b&c"})
    first = completions.retrieve(made[0].id)
    asked = list(completions.messages.list(made[0].id, limit=1))
    deleted = completions.delete(made[1].id)
    try:
        completions.retrieve(made[1].id)
        gone = None
    except openai.NotFoundError as error:
        gone = [error.code, error.param]
    found = list(completions.list(metadata={"sdk": version, "new": "a b&c"}))
    for each in mine:
        if each.id != made[1].id:
            completions.delete(each.id)
    return {
        "made_are_listed": [each.id for each in mine[:3]] == [each.id for each in made],
        "contents": [each.choices[0].message.content for each in mine],
        "changed": changed.metadata == first.metadata == {"sdk": version, "new": "a b&c"},
        "found": [each.id for each in found] == [made[0].id],
        "asked": [[each.role, each.content] for each in asked],
        "deleted": [deleted.id == made[1].id, deleted.deleted],
        "gone": gone,
    }


async def asynchronous(base_url: str, model: str, messages: list) -> list:
    async with AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        plain = await client.chat.completions.create(model=model, messages=messages)
        stream = await client.chat.completions.create(model=model, messages=messages, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return [plain.choices[0].message.content, "".join(pieces)]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))))
