from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from stillhouse.errors import UsageError
from stillhouse.inference.chat_tokens import PLAIN_STOP, ChatTokens
from stillhouse.wire.chat_options import ChatOptions, Toolbox
from stillhouse.wire.errors import Unsupported, WireError
from tests.inference.speakers import BARE, TEMPLATE, WEATHER, tokenizer
from tests.models.tiny import wordpiece

HI = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi <|end|>"})


def tokens(template: str | None = TEMPLATE, context: int = 100) -> ChatTokens:
    return ChatTokens(tokenizer(template), [2], context)


def text_of(made: ChatTokens, options: ChatOptions) -> str:
    return b"".join(made.name(token) for token in made.read(options)).decode()


def test_a_conversation_is_written_by_the_template():
    assert text_of(tokens(), ChatOptions(HI[1:])) == "<|user|>\nHi <|end|><|end|>\n<|assistant|>\n"
    assert tokens().stops == ()


def test_a_model_without_template_gets_a_plain_one():
    made = tokens(None)
    assert text_of(made, ChatOptions(HI)) == ("<s>### system\nBe kind.\n\n### user\nHi <|end|>\n\n### assistant\n")
    assert made.stops == (PLAIN_STOP,)
    assert not made.has_template


def test_what_tokens_say():
    made = tokens()
    line = made.read(ChatOptions(HI[1:]))[-1]
    assert made.content(2) == b""
    assert made.name(2) == b"<|end|>"
    assert made.content(line) == made.name(line) == b"\n"
    assert made.content(10_000) == made.name(10_000) == b""
    assert not made.drops_space


def test_a_prompt_that_leaves_no_room_is_refused():
    with pytest.raises(WireError, match="maximum context length is 10 tokens") as caught:
        tokens(context=10).read(ChatOptions(HI))
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_tools_reach_the_template():
    options = ChatOptions(HI[1:], tools=Toolbox((WEATHER,)))
    assert text_of(tokens(), options).startswith("<|tool|>weather\n")
    assert tokens().tags_calls([WEATHER])
    assert not tokens(BARE).tags_calls([WEATHER])
    with pytest.raises(Unsupported, match="no place for tools"):
        tokens(None).read(options)


def test_what_a_template_refuses_is_a_wrong_request():
    made = tokens("{{ raise_exception('Begin with the user.') }}")
    with pytest.raises(WireError, match=r"the roles system, user: Begin with the user\.") as caught:
        made.read(ChatOptions(HI))
    assert caught.value.param == "messages"


def test_a_template_that_makes_nothing_of_it():
    with pytest.raises(WireError, match="no tokens"):
        tokens("{{ '' }}").read(ChatOptions(HI))


@pytest.mark.parametrize(("effort", "written"), [(None, "-"), ("low", "low"), ("none", "off")])
def test_how_much_a_model_is_to_think_reaches_the_template(effort, written):
    made = tokens("{{ 'off' if enable_thinking is false else reasoning_effort or '-' }}")
    assert text_of(made, ChatOptions(HI, effort=effort)) == written


def test_a_sentencepiece_vocabulary_drops_its_first_space():
    bytes_ = {f"<0x{byte:02X}>": byte for byte in range(256)}
    pieces = {**bytes_, "\u2581": 256, "a": 257, "\u2581a": 258}
    backend = Tokenizer(models.BPE(pieces, [("\u2581", "a")], byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made = ChatTokens(PreTrainedTokenizerFast(tokenizer_object=backend), [], 100)
    assert made.drops_space
    assert made.content(258) == b" a"


def test_a_tokenizer_whose_tokens_lose_their_spaces_is_refused():
    words = PreTrainedTokenizerFast(tokenizer_object=wordpiece(), pad_token="[PAD]")
    with pytest.raises(UsageError, match="does not tell the bytes"):
        ChatTokens(words, [3], 100)
