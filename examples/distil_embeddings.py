"""A sentence encoder taught to one of half its layers, and saved as a folder that Sentence-Transformers opens."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import stillhouse
from stillhouse.objectives import EmbeddingCosine, SimilarityPreserving
from stillhouse.tasks.embedding import embed, likeness, read_texts, save_sentence_encoder
from stillhouse.training.loop import Schedule

TOPICS = {
    "animals": ["cat", "dog", "bird", "horse", "sheep"],
    "weather": ["rain", "sun", "storm", "cloud", "frost"],
    "food": ["bread", "soup", "apple", "cheese", "cake"],
    "travel": ["train", "ship", "road", "ticket", "bridge"],
}
SMALL_TALK = ["the", "a", "is", "was", "very", "old", "new", "and", "today", "here"]
WORDS = SMALL_TALK + [word for topic in TOPICS.values() for word in topic]


def sentences(count: int) -> tuple[list[str], list[str]]:
    """Sentences of two words of a topic among small talk, and their topics."""
    topics = [random.choice(list(TOPICS)) for _ in range(count)]
    words = [random.sample(TOPICS[topic], 2) + random.choices(SMALL_TALK, k=random.randint(1, 5)) for topic in topics]
    return [" ".join(random.sample(some, len(some))) for some in words], topics


def tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(["[PAD]", "[UNK]", *WORDS])}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")


def main() -> tuple[dict[str, float], dict[str, float]]:
    random.seed(0)
    torch.manual_seed(0)
    reads, (texts, topics), (unseen, _) = tokenizer(), sentences(500), sentences(200)
    config = BertConfig(
        vocab_size=len(reads), hidden_size=48, num_hidden_layers=4, num_attention_heads=4, intermediate_size=96
    )
    schedule = Schedule(epochs=6, rate=5)
    encoder = BertModel(config, add_pooling_layer=False)
    classifier = stillhouse.train(encoder, (texts, topics), tokenizer=reads, schedule=schedule).student
    teacher = classifier.get_submodule("encoder")  # its vectors lie together by topic

    student = stillhouse.shrink(teacher, layers=2)
    task = read_texts(unseen, reads)
    before = likeness(embed(student.eval(), task), embed(teacher, task))
    objective = EmbeddingCosine() + 0.5 * SimilarityPreserving()
    stillhouse.train(student, texts, teacher=teacher, objective=objective, tokenizer=reads, schedule=schedule)
    after = likeness(embed(student, task), embed(teacher, task))
    for name, value in after.items():
        print(f"{name} {before[name]:.2f} -> {value:.2f}")

    with tempfile.TemporaryDirectory() as folder:
        save_sentence_encoder(Path(folder), student, reads, task, tokens=64)
        print("saved:", ", ".join(sorted(file.name for file in Path(folder).iterdir())))
    return before, after


if __name__ == "__main__":
    main()
