"""Chat completions, stored completions and models in the words of OpenAPI."""

from __future__ import annotations

from stillhouse.wire.openapi.shapes import (
    EVENTS,
    JSON,
    Operation,
    Schema,
    array,
    asked,
    const,
    deleted,
    either,
    flag,
    number,
    or_null,
    page,
    record,
    ref,
    text,
    whole,
)
from stillhouse.wire.samples import EFFORTS

__all__ = ["cut", "operations", "schemas"]

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
CHAT, STORED, MODELS = "Chat", "Stored completions", "Models"


def cut(ordered: bool = True) -> dict[str, Schema]:
    """The query of a page."""
    order: dict[str, Schema] = {"order": text(("asc", "desc"))} if ordered else {}
    return {"limit": whole(1, 100), "after": text(longest=128), **order}


def operations() -> dict[tuple[str, str], Operation]:
    """By method and path."""
    one, completion = "/v1/chat/completions/{completion_id}", ref("StoredCompletion")
    by_metadata = {**cut(), "model": text(), "metadata": ref("Metadata")}
    model = "/v1/models/{model:path}"
    return {
        ("POST", "/v1/chat/completions"): Operation(
            "createChatCompletion",
            "Ask a model; with `store: true` the call is kept.",
            CHAT,
            {JSON: ref("ChatCompletion"), EVENTS: ref("ChatCompletionChunk")},
            body=ref("NewChatCompletion"),
            refusals=(404, 502, 503, 507),
            passes_on=True,
        ),
        ("GET", "/v1/chat/completions"): Operation(
            "listChatCompletions",
            "Stored completions.",
            STORED,
            {JSON: page("StoredCompletion")},
            query=by_metadata,
            refusals=(503,),
        ),
        ("GET", one): Operation(
            "getChatCompletion", "A stored completion.", STORED, {JSON: completion}, refusals=(503,)
        ),
        ("POST", one): Operation(
            "updateChatCompletion",
            "Other metadata for a stored completion.",
            STORED,
            {JSON: completion},
            body=asked({"metadata": or_null(ref("Metadata"))}, {}),
            refusals=(409, 503),
        ),
        ("DELETE", one): Operation(
            "deleteChatCompletion",
            "A stored completion no longer.",
            STORED,
            {JSON: deleted("chat.completion.deleted")},
            refusals=(409,),
        ),
        ("GET", f"{one}/messages"): Operation(
            "getChatCompletionMessages",
            "What was asked.",
            STORED,
            {JSON: page("StoredMessage")},
            query=cut(),
            refusals=(503,),
        ),
        ("GET", "/v1/models"): Operation("listModels", "Every model.", MODELS, {JSON: ref("ModelList")}),
        ("GET", model): Operation("retrieveModel", "A model; its name may hold slashes.", MODELS, {JSON: ref("Model")}),
        ("DELETE", model): Operation("deleteModel", "A fine-tuned model no longer.", MODELS, {JSON: deleted("model")}),
    }


def schemas() -> dict[str, Schema]:
    """By name."""
    message = {"role": text(ROLES), "content": either(text(), array(ref("ContentPart")), {"type": "null"})}
    said = {"role": text(), "content": or_null(text())}
    choice = {"index": whole(0), "message": record(said), "logprobs": or_null({"type": "object"})}
    head = {"id": text(), "created": whole(), "model": text()}
    delta = {"index": whole(0), "delta": {"type": "object"}, "finish_reason": or_null(text())}
    words = {"id": text(), "role": text(), "content": text(), "name": or_null(text())}
    parts = {"content_parts": or_null(array({"type": "object"}))}
    more: dict[str, Schema] = {"tool_calls": {}, "tool_call_id": {}, "function_call": {}}
    model = {"id": text(), "object": const("model"), "created": whole(), "owned_by": text()}
    return {
        "NewChatCompletion": asked(
            {"model": ref("ModelName"), "messages": array(ref("ChatMessage"), fewest=1)}, _options()
        ),
        "ChatMessage": asked(message, {"name": text(), "tool_calls": array({"type": "object"}), "tool_call_id": text()})
        | {"required": ["role"]},
        "ContentPart": asked({"type": text()}, {"text": text(), "refusal": text(), "image_url": {"type": "object"}}),
        "ResponseFormat": either(
            asked({"type": text(("text", "json_object"))}, {}),
            asked({"type": const("json_schema"), "json_schema": ref("NamedSchema")}, {}),
        ),
        "NamedSchema": asked({"name": text()}, {"schema": ref("JsonSchema"), "strict": flag()}),
        "ChatCompletion": record(
            {
                **head,
                "object": const("chat.completion"),
                "choices": array(record({**choice, "finish_reason": or_null(text())}, ("logprobs",))),
                "usage": or_null(ref("Usage")),
            },
            ("usage",),
        ),
        "ChatCompletionChunk": {
            "description": "Server-sent events: one chunk each, then `[DONE]`.",
            **record({**head, "object": const("chat.completion.chunk"), "choices": array(record(delta))}),
        },
        "StoredCompletion": _stored(),
        "StoredMessage": record({**words, **parts, **more}, tuple(more)),
        "Model": record(model),
        "ModelList": record({"object": const("list"), "data": array(ref("Model"))}),
    }


def _options() -> dict[str, Schema]:
    """What a call may say beyond model and messages; whom an upstream serves may say more."""
    return {
        "stream": flag(),
        "stream_options": asked({}, {"include_usage": flag()}),
        "n": whole(1, 128),
        "logprobs": flag(),
        "top_logprobs": whole(0, 20),
        "store": flag(),
        "metadata": ref("Metadata"),
        "temperature": number(0, 2),
        "top_p": number(0, 1),
        "presence_penalty": number(-2, 2),
        "frequency_penalty": number(-2, 2),
        "logit_bias": {"type": "object", "additionalProperties": number(-100, 100)},
        "seed": whole(),
        "stop": either(text(), array(text(), most=4)),
        "max_tokens": whole(1),
        "max_completion_tokens": whole(1),
        "reasoning_effort": text(EFFORTS),
        "response_format": ref("ResponseFormat"),
        "tools": array({"type": "object"}, most=128),
        "tool_choice": either(text(("none", "auto", "required")), {"type": "object"}),
        "parallel_tool_calls": flag(),
        "user": text(),
    }


def _stored() -> Schema:
    said = {"role": text(), "content": {}, "tool_calls": {}, "function_call": {}, "refusal": text()}
    choice = {
        "index": whole(0),
        "message": record(said, ("refusal",)),
        "logprobs": {},
        "finish_reason": or_null(text()),
    }
    echoed: dict[str, Schema] = {
        name: {}
        for name in ("tool_choice", "seed", "top_p", "temperature", "presence_penalty", "frequency_penalty", "tools")
    }
    told = ("safety_identifier", "service_tier", "system_fingerprint")
    ours: dict[str, Schema] = {**{name: {} for name in told}, "x_stillhouse": {"type": "object"}}
    return record(
        {
            "id": text(),
            "object": const("chat.completion"),
            "created": or_null(whole()),
            "model": or_null(text()),
            "choices": array(record(choice)),
            "usage": or_null({"type": "object"}),
            "request_id": text(),
            "input_user": {},
            **echoed,
            "response_format": {},
            "metadata": ref("Metadata"),
            **ours,
        },
        tuple(ours),
    )
