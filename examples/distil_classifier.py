"""A text classifier taught to one of a third of its layers, on labels and on the teacher's own word."""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import stillhouse
from stillhouse.objectives import CrossEntropy, ForwardKL, HiddenStates
from stillhouse.training.loop import Schedule
from stillhouse.training.one_call import Trained

TOPICS = {
    "parcel": ["where", "parcel", "late", "delivery", "address", "courier"],
    "refund": ["money", "refund", "back", "paid", "card", "charged"],
    "account": ["password", "login", "account", "email", "locked", "change"],
}
SMALL_TALK = ["hello", "please", "my", "the", "is", "help", "thanks", "today", "and", "i"]


def questions(count: int) -> tuple[list[str], list[str]]:
    """Questions of a help desk, each with two words of its topic among small talk, and their topics."""
    topics = [random.choice(list(TOPICS)) for _ in range(count)]
    texts = []
    for topic in topics:
        words = random.sample(TOPICS[topic], 2) + random.sample(SMALL_TALK, 4)
        texts.append(" ".join(random.sample(words, len(words))))
    return texts, topics


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", *SMALL_TALK, *(word for topic in TOPICS.values() for word in topic)]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


def main() -> Trained:
    random.seed(0)
    torch.manual_seed(0)
    reads, data = tokenizer(), questions(400)
    config = BertConfig(
        vocab_size=len(reads), hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96
    )
    config.id2label = dict(enumerate(TOPICS))
    config.label2id = {topic: number for number, topic in enumerate(TOPICS)}
    schedule = Schedule(epochs=4, rate=5, evaluations=4)
    teacher = stillhouse.train(BertForSequenceClassification(config), data, tokenizer=reads, schedule=schedule).student

    student = stillhouse.shrink(teacher, layers=1)
    objective = 0.6 * ForwardKL(temperature=2) + 0.2 * CrossEntropy() + 0.2 * HiddenStates({0: 2})
    done = stillhouse.train(student, data, teacher=teacher, objective=objective, tokenizer=reads, schedule=schedule)

    print(f"{done.steps} steps in {done.seconds:.0f} s, {done.held_out} rows held out")
    print(f"agreement with the teacher {done.before['top1_agreement']:.0%} -> {done.after['top1_agreement']:.0%}")
    print(f"right {done.before['accuracy']:.0%} -> {done.after['accuracy']:.0%}")
    return done


if __name__ == "__main__":
    main()
