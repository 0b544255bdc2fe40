"""Conversations, tokenizers trained in a moment, and chat templates: good ones and bad ones."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CHAT: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Where is my parcel?"},
        {"role": "assistant", "content": "It is on its way."},
        {"role": "user", "content": "Thank you!"},
        {"role": "assistant", "content": "You are welcome."},
    ]
}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLS: dict[str, Any] = {
    "tools": [WEATHER],
    "messages": [
        {"role": "user", "content": "Is it raining?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Ulm"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "rain"},
        {"role": "assistant", "content": "Yes, it is."},
    ],
}
PLAIN = (
    "{% for tool in tools or [] %}<|tool|>{{ tool['function']['name'] }}\n{% endfor %}"
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}<call>{{ call['function']['name'] }} "
    "{{ call['function']['arguments'] | tojson }}</call>{% endfor %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TEMPLATES = {
    "plain": PLAIN,
    # what the assistant thought in earlier turns is left out
    "forgets thoughts": PLAIN.replace(
        "{{ message['content'] }}",
        "{{ message['content'] if loop.last else message['content'].split('</think>')[-1] }}",
    ),
    "loses answers": PLAIN.replace(
        "{{ message['content'] }}", "{% if message['role'] != 'assistant' %}{{ message['content'] }}{% endif %}"
    ),
    "asks otherwise": PLAIN.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}"),
    "wants turns": "{% if messages[0]['role'] != 'user' %}{{ raise_exception('Begin with the user.') }}{% endif %}",
}
SPECIALS = ["<pad>", "<s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
CORPUS = [
    "Where is my parcel? It is on its way. Thank you! You are welcome. Be kind.",
    "Is it raining in Ulm? Yes, it is. <call>weather</call> tool town rain",
    "the quick brown fox jumps over the lazy dog",
] * 3


@cache
def backend(trim: bool = False, begin: bool = False) -> Tokenizer:
    """A byte-level tokenizer; with `begin` it puts <s> before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    steps: list[Any] = [processors.ByteLevel(trim_offsets=trim)]
    if begin:
        steps.append(processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)]))
    tokenizer.post_processor = processors.Sequence(steps)
    return tokenizer


def talker(template: str | None = "plain", trim: bool = False, begin: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of Transformers with one of the templates."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend(trim, begin), pad_token="<pad>", bos_token="<s>", eos_token="<|end|>"
    )
    made.chat_template = None if template is None else TEMPLATES[template]
    return made
