"""Where students are built and taught: the assistant teacher, and each rung of the ladder."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from stillhouse.bundle.manifest import Featurizer
from stillhouse.data.augment import augment
from stillhouse.models.devices import Hardware
from stillhouse.models.layers import blocks, keep_positions
from stillhouse.models.load import Encoder, load_encoder
from stillhouse.models.tokenizers import NgramReader, Reader, TokenizerReader
from stillhouse.objectives.objective import Objective
from stillhouse.objectives.response import CrossEntropy, ForwardKL
from stillhouse.students.encoder import EncoderStudent
from stillhouse.students.ladder import Rung
from stillhouse.students.shrink import shrink
from stillhouse.students.static import StaticStudent, static_vectors
from stillhouse.students.student import Student
from stillhouse.students.vocabulary import keep_tokens, trim
from stillhouse.students.words import WordsStudent
from stillhouse.tasks.classification import Classification, to_positions
from stillhouse.training.lessons import Floats, Lessons, Part
from stillhouse.training.loop import Lesson, Schedule, Watch, train
from stillhouse.training.offline import Offline

__all__ = ["Classroom", "Taught", "batch_size"]

BUCKETS, GRAMS = 2**15, 1024
STATIC_WIDTH = 256
TEMPERATURE = 2.0
POOL, COPIES = 20_000, 16
"""Prompts the assistant speaks about: lessons, and up to so many made of each, until there are so many in all."""
MANY, SELDOM = 5_000, 2
"""Of so many lessons, a token must be in so many for a small student to keep it."""
MEASURED = 2_000
"""Selection rows scored while training; all of them are scored afterwards."""


@dataclass(frozen=True)
class Taught:
    """A student and what reads text for it."""

    student: Student
    reader: Reader
    featurizer: Featurizer
    tokenizer: Tokenizer | None


@dataclass(frozen=True)
class Pretrained:
    """The encoder fitted to this traffic: vocabulary trimmed, positions cut."""

    encoder: Encoder
    max_tokens: int


@final
class Classroom:
    """One run's lessons and hardware; every method is a function of these and its arguments.

    With `freeze`, the encoder's token embeddings and so many of its first layers stay as they were pretrained, in
    every encoder student that has them.
    """

    def __init__(
        self, lessons: Lessons, encoder: str | None, seed: int, hardware: Hardware, *, freeze: int = 0
    ) -> None:
        self.lessons, self.encoder_name, self.seed, self.hardware = lessons, encoder, seed, hardware
        self.freeze = freeze
        torch.set_num_threads(hardware.threads)

    @cached_property
    def answered(self) -> list[int]:
        """The lessons that the teacher answered."""
        return np.flatnonzero((self.lessons.train.labels >= 0).any(axis=1)).tolist()

    @cached_property
    def pool(self) -> Part:
        """What the assistant speaks about: every lesson, and prompts made of them where lessons are few."""
        train = self.lessons.train
        more = max(0, min(POOL - len(train), COPIES * len(train)))
        none = np.full((more, len(self.lessons.sizes)), -1, dtype=np.int64)
        made = Part(augment(train.texts, more, self.seed), none, none)
        return Part(
            train.texts + made.texts,
            np.concatenate([train.labels, made.labels]),
            np.concatenate([train.truths, made.truths]),
        )

    @cached_property
    def pretrained(self) -> Pretrained:
        """The encoder with its vocabulary trimmed to the lessons; made anew in each process, always the same."""
        assert self.encoder_name is not None
        encoder = load_encoder(self.encoder_name)
        tokenizer, kept = trim(encoder.tokenizer, self.lessons.train.texts)
        limit = min(512, getattr(encoder.config, "max_position_embeddings", 514) - 2)
        lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(self.lessons.train.texts)]
        max_tokens = int(np.clip(-(-np.quantile(lengths, 0.998) // 8) * 8, 16, limit))
        keep_tokens(encoder.model, kept)
        keep_positions(encoder.model, max_tokens)
        return Pretrained(replace(encoder, tokenizer=tokenizer), max_tokens)

    @cached_property
    def common(self) -> tuple[Tokenizer, list[int]]:
        """What the smaller students read by: where lessons are many, without the tokens that few of them have.

        With it the old id of each of its tokens. A rare token's row is hardly taught, and is most of a small student.
        """
        texts = self.lessons.train.texts
        least = SELDOM if len(texts) >= MANY else 1
        return trim(self.pretrained.encoder.tokenizer, texts, least)

    @property
    def encoder_layers(self) -> int:
        """Blocks of the whole encoder; 0 without one."""
        return 0 if self.encoder_name is None else len(blocks(self.pretrained.encoder.model))

    def assistant(self) -> Taught:
        """The whole encoder with a fresh head, not yet taught."""
        torch.manual_seed(self.seed)
        student = EncoderStudent(deepcopy(self.pretrained.encoder.model), sum(self.lessons.sizes))
        if self.freeze:
            student.freeze(self.freeze)
        return self._reads_tokens(student)

    def rung(self, rung: Rung, assistant: Taught | None) -> Taught:
        """A candidate, not yet taught; encoders start as the assistant's own layers and head, or as pretrained."""
        labels = sum(self.lessons.sizes)
        whole = (assistant or self.assistant()).student if rung.family == "encoder" else None
        torch.manual_seed(self.seed)
        if rung.family == "words":
            featurizer = Featurizer("ngrams", GRAMS, BUCKETS)
            return Taught(WordsStudent(BUCKETS, labels), NgramReader(BUCKETS, GRAMS), featurizer, None)
        if rung.family == "static":
            return self._static(labels)
        assert isinstance(whole, EncoderStudent)
        student = EncoderStudent(shrink(whole.encoder, rung.layers), labels)
        if assistant is not None:
            student.head_from(whole)
        tokenizer, kept = self.common
        keep_tokens(student.encoder, kept)
        return self._reads_tokens(student, tokenizer)

    def teach(self, taught: Taught, schedule: Schedule, watch: Watch, teacher: Floats | None = None) -> None:
        """Train a student: on a teacher's logits about the pool `[rows, all labels]` if given, else on the answers.

        Answers come with the teacher's own distribution where that was recorded; it counts as much as the words.
        """
        lessons, sizes = self.lessons.train if teacher is None else self.pool, self.lessons.sizes
        task = Classification(taught.reader.ids(lessons.texts), lessons.labels, sizes)
        rows = range(len(lessons)) if teacher is not None else self.answered
        if teacher is not None:
            logits = to_positions(torch.from_numpy(teacher), sizes)
            told = torch.ones(logits.shape[:2], dtype=torch.bool)
            objective: Objective = ForwardKL(TEMPERATURE)
        elif self.lessons.soft:
            logits, told = self._recorded()
            objective = 0.5 * ForwardKL() + 0.5 * CrossEntropy()
        else:
            logits, told, objective = None, None, CrossEntropy()
        source = Offline(task, rows, batch_size(len(rows)), self.seed, logits, told)
        train(Lesson(taught.student, task, source, objective), schedule, watch)

    def _recorded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The teacher's recorded distributions as logits `[lessons, fields, labels]`, and where there are any."""
        flat = np.zeros((len(self.lessons.train), sum(self.lessons.sizes)), dtype=np.float32)
        told = torch.zeros((len(self.lessons.train), len(self.lessons.sizes)), dtype=torch.bool)
        for row, fields in self.lessons.soft.items():
            flat[row] = np.log(np.concatenate(fields) + 1e-6)
            told[row] = True
        return to_positions(torch.from_numpy(flat), self.lessons.sizes), told

    @cached_property
    def tokens_per_lesson(self) -> float:
        """How long a training text is in the encoder's tokens (or words without one), special tokens included."""
        texts = self.lessons.train.texts[:2_000]
        if self.encoder_name is None:
            return 2 + float(np.mean([len(text.split()) for text in texts]))
        return float(np.mean([len(ids) for ids in self._reader().ids(texts)]))

    def score(self, taught: Taught, part: Part) -> float:
        """Share of a part's rows on which a student agrees with the teacher in every field, 0..1."""
        logits = self.logits(taught, part.texts[:MEASURED])
        picked = to_positions(torch.from_numpy(logits), self.lessons.sizes).argmax(-1).numpy()
        return float((picked == part.labels[:MEASURED]).all(axis=1).mean()) if len(picked) else 0.0

    def logits(self, taught: Taught, texts: list[str], precision: str = "bf16") -> Floats:
        """What a student says of texts, `[rows, all labels]`, in the run's number format or `no` for float32."""
        task = Classification(taught.reader.ids(texts), np.zeros((len(texts), 1), dtype=np.int64), self.lessons.sizes)
        order = sorted(range(len(texts)), key=task.length)
        result = np.zeros((len(texts), sum(self.lessons.sizes)), dtype=np.float32)
        taught.student.eval()
        fast = precision == "bf16" and self.hardware.precision == "bf16"
        with torch.no_grad(), torch.autocast(self.hardware.device, dtype=torch.bfloat16, enabled=fast):
            for start in range(0, len(order), 256):
                rows = order[start : start + 256]
                batch = task.batch(rows).to(next(taught.student.parameters()).device)
                result[rows] = (
                    taught.student(batch.inputs["input_ids"], batch.inputs["attention_mask"]).float().cpu().numpy()
                )
        return result

    def teacher_logits(self, assistant: Taught) -> Floats:
        """The assistant's answers to the pool, mixed half and half with the teacher's own where those were recorded."""
        logits = self.logits(assistant, self.pool.texts)
        ends = np.cumsum(self.lessons.sizes)
        for row, fields in self.lessons.soft.items():
            for end, recorded in zip(ends, fields, strict=True):
                part = slice(end - len(recorded), end)
                own = torch.softmax(torch.from_numpy(logits[row, part]), -1).numpy()
                logits[row, part] = np.log(0.5 * own + 0.5 * recorded + 1e-6)
        return logits

    def save(self, taught: Taught, folder: Path) -> None:
        """Keep a student's weights."""
        save_file(taught.student.state_dict(), folder / "weights.safetensors")

    def restore(self, taught: Taught, folder: Path) -> Taught:
        """Give a student the weights that `save` kept."""
        taught.student.load_state_dict(load_file(folder / "weights.safetensors"))
        taught.student.eval()
        return taught

    def _reader(self, tokenizer: Tokenizer | None = None) -> TokenizerReader:
        own = Tokenizer.from_str((tokenizer or self.pretrained.encoder.tokenizer).to_str())
        return TokenizerReader(own, self.pretrained.max_tokens)

    def _reads_tokens(self, student: Student, tokenizer: Tokenizer | None = None) -> Taught:
        reader = self._reader(tokenizer)
        return Taught(student, reader, Featurizer("tokenizer", self.pretrained.max_tokens), reader.tokenizer)

    def _static(self, labels: int) -> Taught:
        if self.encoder_name is not None:
            tokenizer, kept = self.common
            vectors = static_vectors(self.pretrained.encoder.model.eval(), STATIC_WIDTH)[torch.tensor(kept)]
            return self._reads_tokens(StaticStudent(vectors, labels), tokenizer)
        tokenizer = _new_tokenizer(self.lessons.train.texts)
        vectors = torch.randn(tokenizer.get_vocab_size(), STATIC_WIDTH) / STATIC_WIDTH**0.5
        student = StaticStudent(vectors, labels)
        return Taught(student, TokenizerReader(tokenizer, 512), Featurizer("tokenizer", 512), tokenizer)


def _new_tokenizer(texts: list[str]) -> Tokenizer:
    """A byte-level BPE tokenizer learnt from the lessons, for those who have no encoder.

    The same lessons give the same tokenizer, on which resuming rests; a WordPiece trainer breaks ties by chance.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=8_000,
        special_tokens=["[PAD]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def batch_size(rows: int) -> int:
    """Rows a step: fewer where there are few, so that an epoch still has steps."""
    return 64 if rows >= 4_000 else 32 if rows >= 500 else 16
