"""Calls a local model in every way with whichever `openai` package runs this; prints what came back as JSON."""

import asyncio
import json
import sys

import openai
from openai import AsyncOpenAI, OpenAI


def main(base_url: str, model: str, questions: dict, tool: dict) -> dict:
    client = OpenAI(base_url=base_url, api_key="k", max_retries=0, _strict_response_validation=True)

    def create(question: str, **options):
        messages = [{"role": "user", "content": questions[question]}]
        return client.chat.completions.create(model=model, messages=messages, temperature=0, **options)

    form = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}}}
    called, sure = create("call", tools=[tool]), create("words", logprobs=True, top_logprobs=2)
    pieces = list(create("call", tools=[tool], stream=True, stream_options={"include_usage": True}))
    try:
        create("words", stop=["a"] * 5)
        refused = None
    except openai.BadRequestError as error:
        refused = [error.code, error.param]
    return {
        "version": openai.__version__,
        "plain": create("words").choices[0].message.content,
        "copies": [choice.message.content for choice in create("words", n=2).choices],
        "streamed": text_of(create("words", stream=True)),
        "asynchronous": asyncio.run(asynchronous(base_url, model, questions["words"])),
        "bytes": b"".join(bytes(piece.bytes) for piece in sure.choices[0].logprobs.content).decode(),
        "calls": [json.loads(call.function.arguments) for call in called.choices[0].message.tool_calls],
        "reason": called.choices[0].finish_reason,
        "streamed_calls": [
            json.loads(call.function.arguments)
            for chunk in pieces
            for choice in chunk.choices
            for call in choice.delta.tool_calls or ()
        ],
        "usage": [called.usage.total_tokens, pieces[-1].usage.total_tokens],
        "json": json.loads(create("json", response_format=form).choices[0].message.content),
        "refused": refused,
    }


def text_of(stream) -> str:
    return "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)


async def asynchronous(base_url: str, model: str, question: str) -> list:
    async with AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        create, messages = client.chat.completions.create, [{"role": "user", "content": question}]
        calls = [create(model=model, messages=messages, temperature=0) for _ in range(3)]
        return [told.choices[0].message.content for told in await asyncio.gather(*calls)]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]))))
