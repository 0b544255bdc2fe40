"""A language model that answers questions, taught to a shallower one: only the assistant's tokens are learnt."""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import stillhouse
from stillhouse.objectives import CrossEntropy, JensenShannon
from stillhouse.training.loop import Schedule
from stillhouse.training.one_call import Trained

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
COLOURS, THINGS = ["red", "green", "blue"], ["cup", "door", "bird", "stone"]


def conversation() -> dict[str, Any]:
    colour, thing = random.choice(COLOURS), random.choice(THINGS)
    question = f"There is a {colour} {thing}. What is {colour}?"
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": f"The {thing} is."}]
    return {"messages": messages}


def tokenizer(rows: list[dict[str, Any]]) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([message["content"] for row in rows for message in row["messages"]], trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<|pad|>", eos_token="<|end|>")
    wrapped.chat_template = TEMPLATE
    return wrapped


def main() -> Trained:
    random.seed(0)
    torch.manual_seed(0)
    rows = [conversation() for _ in range(200)]
    reads = tokenizer(rows)
    config = LlamaConfig(
        vocab_size=384,  # padded beyond the tokenizer's, as is usual: the padding never counts
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=128,
    )
    schedule = Schedule(epochs=8, rate=10, evaluations=4)
    teacher = stillhouse.train(LlamaForCausalLM(config), rows, tokenizer=reads, schedule=schedule).student

    student = stillhouse.shrink(teacher, layers=2)
    objective = 0.9 * JensenShannon(beta=0.5) + 0.1 * CrossEntropy()
    done = stillhouse.train(student, rows, teacher=teacher, objective=objective, tokenizer=reads, schedule=schedule)

    print(f"KL to the teacher {done.before['kl_to_teacher']:.3f} -> {done.after['kl_to_teacher']:.3f} nats a token")
    question = rows[0]["messages"][:1]
    asked: Any = reads.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    writer: Any = done.student
    ends = {"pad_token_id": reads.pad_token_id, "eos_token_id": reads.eos_token_id}
    said = writer.generate(**asked, max_new_tokens=8, do_sample=False, **ends)
    print(question[0]["content"], "->", reads.decode(said[0, asked["input_ids"].shape[1] :]))
    return done


if __name__ == "__main__":
    main()
