from __future__ import annotations

import json

import pytest

from stillhouse.export.gguf import export_gguf
from stillhouse.export.modelfile import go_template, read_template, read_turns, write_prompt
from tests.export.gguf_students import CHATML, student

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
DEFAULTED = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + CHATML
PLAIN = (
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n\n{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)
NUMBERED = "{% for message in messages %}{{ loop.index }}: {{ message['content'] }}\n{% endfor %}A: "
NO_SYSTEM = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "[{{ message['role'] }}] {{ message['content'] }} {% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} "
    "[/INST]{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi {{ there }}"},
    {"role": "assistant", "content": "Hello\n\nyou"},
    {"role": "user", "content": "Bye"},
]


@pytest.mark.parametrize("template", [CHATML, LLAMA3, DEFAULTED, PLAIN])
def test_fixed_texts_write_what_the_template_writes(template):
    turns = read_turns(template, TOKENS)
    assert turns is not None
    for talk in (TALK, TALK[1:], TALK[:2], TALK[1:2]):
        assert turns.write(talk) == write_prompt(template, talk, TOKENS)


def test_a_template_without_system_messages_is_read_without_them():
    for template in (NO_SYSTEM, INST):
        turns = read_turns(template, TOKENS)
        assert turns is not None
        assert turns.write(TALK[1:]) == write_prompt(template, TALK[1:], TOKENS)
    assert set(read_turns(NO_SYSTEM, TOKENS).before) == {"user", "assistant"}


@pytest.mark.parametrize("template", [NUMBERED, "{{ messages[-1]['content'] }}", "{{ 1 / 0 }}", "{% for"])
def test_what_is_not_of_fixed_texts_is_not_guessed(template):
    assert read_turns(template, TOKENS) is None


def test_go_writes_the_turns_and_leaves_the_first_token_to_llama_cpp():
    turns = read_turns(LLAMA3, TOKENS)
    written = go_template(turns, "<s>")
    assert "<s>" not in written
    assert written.startswith('{{- range .Messages }}{{- if eq .Role "system" }}')
    assert '{{ "<|start_header_id|>user<|end_header_id|>\\n\\n" }}{{ .Content }}{{ "<|eot_id|>" }}' in written
    assert written.endswith('{{- end }}{{- end }}{{ "<|start_header_id|>assistant<|end_header_id|>\\n\\n" }}')
    assert go_template(turns, "").count("<s>") == 2  # with a system message and without
    defaulted = go_template(read_turns(DEFAULTED, TOKENS), "")
    assert defaulted.startswith('{{- if ne (index .Messages 0).Role "system" }}{{ "<|im_start|>system\\nYou help.')


def test_a_modelfile_says_where_answers_end(tmp_path):
    subject = student("qwen2", tmp_path / "student", CHATML)
    written = export_gguf(subject, tmp_path / "out")
    lines = (tmp_path / "out" / "Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ./model.gguf"
    assert lines[1].startswith('TEMPLATE """')
    assert lines[1].endswith('"""')
    assert 'PARAMETER stop "<|im_end|>"' in lines
    assert lines[-1] == "PARAMETER num_ctx 128"
    assert not any("template" in note for note in written.notes)


def test_without_a_template_texts_are_completed(tmp_path):
    written = export_gguf(student("qwen2", tmp_path / "student"), tmp_path / "out")
    assert 'TEMPLATE """{{ .Prompt }}"""' in (tmp_path / "out" / "Modelfile").read_text()
    assert any("no chat template" in note for note in written.notes)
    numbered = export_gguf(student("qwen2", tmp_path / "other", NUMBERED), tmp_path / "numbered")
    assert "TEMPLATE" not in (tmp_path / "numbered" / "Modelfile").read_text()
    assert any("Ollama chooses one of its own" in note for note in numbered.notes)


def test_templates_are_found_where_transformers_puts_them(tmp_path):
    assert read_template(tmp_path) is None
    told = {"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    assert read_template(tmp_path) == "y"
    (tmp_path / "chat_template.jinja").write_text("z")
    assert read_template(tmp_path) == "z"
