"""Files and uploads with whichever `openai` package runs this; prints what came back as JSON."""

import asyncio
import hashlib
import io
import json
import sys

import openai
from openai import AsyncOpenAI, OpenAI

ROWS = b'{"number": 1}\n{"number": 2}\n'


def main(base_url: str) -> dict:
    client = OpenAI(base_url=base_url, api_key="k", max_retries=0)
    named = io.BytesIO(ROWS)
    named.name = "Übung.jsonl"
    made = client.files.create(file=named, purpose="fine-tune")
    more = [client.files.create(file=(f"n{number}", ROWS), purpose="evals") for number in range(3)]
    short = client.files.create(
        file=ROWS, purpose="user_data", extra_body={"expires_after": {"anchor": "created_at", "seconds": 3600}}
    )
    done = client.files.wait_for_processing(made.id)
    content = client.files.content(made.id)
    listed = list(client.files.list(purpose="evals", limit=2, order="asc"))
    try:
        client.files.create(file=b"x", purpose="nothing")
        wrong = None
    except openai.BadRequestError as error:
        wrong = [error.param, error.code, error.request_id[:4]]
    deleted = client.files.delete(more[1].id)
    try:
        client.files.content(more[1].id)
        gone = None
    except openai.NotFoundError as error:
        gone = [error.param, error.code]
    seen = {
        "version": openai.__version__,
        "made": [made.filename, made.bytes, made.purpose, made.status],
        "processed": done.id == made.id,
        "content": content.read().decode(),
        "listed": [each.filename for each in listed],
        "lasts": short.expires_at - short.created_at,
        "wrong": wrong,
        "deleted": [deleted.id == more[1].id, deleted.deleted],
        "gone": gone,
        "uploaded": uploaded(client),
        "asynchronous": asyncio.run(asynchronous(base_url)),
    }
    for each in client.files.list():
        client.files.delete(each.id)
    return seen


def uploaded(client: OpenAI) -> dict:
    """What becomes of files that are sent in parts."""
    wish = {"filename": "a.jsonl", "bytes": len(ROWS), "mime_type": "text/jsonl", "purpose": "fine-tune"}
    upload = client.uploads.create(**wish)
    parts = [client.uploads.parts.create(upload.id, data=piece).id for piece in (ROWS[10:], ROWS[:10])]
    done = client.uploads.complete(upload.id, part_ids=parts[::-1], md5=hashlib.md5(ROWS).hexdigest())
    given_up = client.uploads.cancel(client.uploads.create(**wish).id)
    chunked = client.uploads.upload_file_chunked(
        file=ROWS, filename="b", bytes=len(ROWS), mime_type="text/jsonl", purpose="fine-tune", part_size=7
    )
    return {
        "statuses": [upload.status, done.status, given_up.status],
        "content": client.files.content(done.file.id).text,
        "chunked": client.files.content(chunked.file.id).text,
    }


async def asynchronous(base_url: str) -> list:
    async with AsyncOpenAI(base_url=base_url, api_key="k", max_retries=0) as client:
        made = await client.files.create(file=("a", ROWS), purpose="evals")
        content = await client.files.content(made.id)
        deleted = await client.files.delete(made.id)
        return [content.text, deleted.deleted]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
