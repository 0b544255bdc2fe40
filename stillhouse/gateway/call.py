"""One chat call over the wire, for those who want to see that a server answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.error import URLError
from urllib.request import Request, urlopen

from stillhouse.chat import Message
from stillhouse.errors import StillhouseError
from stillhouse.gateway.routes.chat import ROUTE

__all__ = ["Answer", "call_once"]


@dataclass(frozen=True)
class Answer:
    """What came back: the text, and the header that says who answered and why."""

    text: str
    route: str


def call_once(base_url: str, model: str, messages: Sequence[Message], seconds: float = 30.0) -> Answer:
    """POST one chat completion, as the `openai` client does, and read the answer."""
    body = json.dumps({"model": model, "messages": [asdict(message) for message in messages]}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    request = Request(f"{base_url}/chat/completions", data=body, headers=headers)
    try:
        with urlopen(request, timeout=seconds) as response:
            content = json.load(response)
            return Answer(content["choices"][0]["message"]["content"], response.headers[ROUTE])
    except (URLError, ValueError, KeyError) as error:
        raise StillhouseError(f"The server at {base_url} did not answer as expected: {error}.") from error
