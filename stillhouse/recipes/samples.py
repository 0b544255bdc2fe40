"""Rows on which an export is compared with its student: read from a file, kept in a bundle, or drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from stillhouse.data.formats import parse_row, read_lines
from stillhouse.errors import BadRow, UsageError
from stillhouse.export.onnx_folder import image_size
from stillhouse.export.subject import Kind, Subject
from stillhouse.export.verify import Floats, Samples
from stillhouse.models.load import load_image
from stillhouse.models.tokenizers import NgramReader, Reader, TokenizerReader, open_reader
from stillhouse.recipes.read_rows import read_arrays, spread
from stillhouse.tasks.image import look_of, read_images

__all__ = ["Bytes", "draw_samples", "read_pictures", "read_samples", "reader_of", "seen_pictures"]

Bytes = npt.NDArray[np.uint8]

MOST = {Kind.CLASSIFIER: 1_000, Kind.IMAGE: 1_000, Kind.EMBEDDING: 1_000, Kind.LANGUAGE_MODEL: 32}
"""Rows that are compared; a language model writes several tokens after each."""
DRAWN = {Kind.CLASSIFIER: 200, Kind.IMAGE: 64, Kind.EMBEDDING: 100, Kind.LANGUAGE_MODEL: 8}
"""Rows that are drawn where no file is given."""
LONGEST = 128
"""Tokens of a row of an embedding or language model; bundles say how long theirs are."""
WORDS = 24
"""Tokens of the longest row that is drawn."""
ENOUGH = 50
"""Words of quoted texts from which on others are made of them: they hold the characters that a student will see."""


def read_samples(subject: Subject, file: Path) -> Samples:
    """The first rows of `file`: JSONL with a `text` each or recorded calls, or a .npz file with `images`.

    Calls are read as the bundle reads them; without a bundle, their last message is the text. Raises UsageError naming
    the line that cannot be used.
    """
    if not file.is_file():
        raise UsageError(f"{file} is not there. Name a file of rows to compare on, or leave --verify out.")
    if subject.kind is Kind.IMAGE:
        return _pictures(subject, file)
    texts: list[str] = []
    for text in _texts(subject, file):
        texts.append(text)
        if len(texts) == MOST[subject.kind]:
            break
    if not texts:
        raise UsageError(f"{file} holds no row with a text.")
    return _samples(subject, texts, f"{len(texts)} rows of {file.name}")


def draw_samples(subject: Subject, seed: int = 0) -> Samples:
    """Rows for those who give none: texts that the bundle's report quotes, and others of their words in any order.

    Without quoted texts they are of tokens at random, and pictures of noise.
    """
    random = np.random.default_rng(seed)
    count = DRAWN[subject.kind]
    if subject.kind is Kind.IMAGE:
        pixels = random.standard_normal((count, *image_size(subject)), dtype=np.float32)
        return Samples(pixels=pixels, origin=f"{count} images of noise")
    quoted = _quoted(subject.folder)
    words = [word for text in quoted for word in text.split()]
    drawn = list(_mixed(words, count, random) if len(words) >= ENOUGH else _drawn(subject, count, random))
    kept = f"{len(quoted)} texts of record.json and " if quoted else ""
    return _samples(subject, quoted + drawn, f"{kept}{len(drawn)} drawn texts")


def reader_of(subject: Subject) -> Reader:
    """What reads texts for a student."""
    if subject.manifest is not None:
        return open_reader(subject.manifest.featurizer, subject.folder / "student")
    if subject.tokenizer is None:
        raise UsageError(f"{subject.folder} has no tokenizer.json, by which texts are read.")
    limit = min(LONGEST, int(subject.config.get("max_position_embeddings") or LONGEST))
    reader = TokenizerReader(Tokenizer.from_file(str(subject.tokenizer)), limit)
    reader.tokenizer.enable_truncation(limit)
    return reader


def _samples(subject: Subject, texts: list[str], origin: str) -> Samples:
    return Samples(ids=tuple(reader_of(subject).ids(texts)), texts=tuple(texts), origin=origin)


def _texts(subject: Subject, file: Path) -> Iterator[str]:
    for number, line in read_lines(file):
        try:
            row: Any = json.loads(line)
        except ValueError as error:
            raise UsageError(f"{file}, line {number}: it is not valid JSON ({error}).") from error
        if isinstance(row, dict) and isinstance(row.get("text"), str):
            yield row["text"]
            continue
        call = parse_row(line, file.name, number)
        if isinstance(call, BadRow):
            raise UsageError(f'{call} Rows are recorded calls, or objects such as {{"text": ...}}.')
        form = subject.manifest.prompt if subject.manifest else None
        text = form.read(call.messages) if form else None
        yield text if text is not None else call.messages[-1].content


def _quoted(folder: Path) -> list[str]:
    """The prompts that a bundle's record quotes."""
    file = folder / "record.json"
    if not file.is_file():
        return []
    try:
        record: Any = json.loads(file.read_text(encoding="utf-8"))
        found = [example["text"] for example in record["data"]["examples"]]
        found += [text for confusion in record["confusions"] for text in confusion["examples"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []  # the record is for people; nothing depends on it
    return list(dict.fromkeys(text for text in found if isinstance(text, str)))


def _mixed(words: list[str], count: int, random: np.random.Generator) -> Iterator[str]:
    for _ in range(count):
        yield " ".join(words[at] for at in random.integers(len(words), size=int(random.integers(2, WORDS))))


def _drawn(subject: Subject, count: int, random: np.random.Generator) -> Iterator[str]:
    """Texts of tokens at random, or of letters for those who have none."""
    reader = reader_of(subject)
    if isinstance(reader, NgramReader):
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz    "))
        for _ in range(count):
            yield "".join(random.choice(letters, size=int(random.integers(4, 4 * WORDS)))).strip() or "a"
        return
    assert isinstance(reader, TokenizerReader)
    vocabulary = reader.tokenizer.get_vocab_size()
    for _ in range(count):
        ids = random.integers(vocabulary, size=int(random.integers(1, WORDS))).tolist()
        yield reader.tokenizer.decode(ids).strip() or "a"


def read_pictures(file: Path) -> Bytes:
    """Pictures from the whole of a .npz file with `images`, bytes `[rows, height, width]` or `[..., channels]`."""
    try:
        images = read_arrays(file)["images"]
    except OSError as error:
        raise UsageError(f"The pictures {file} cannot be read: {error.strerror or error}.") from error
    if not len(images):
        raise UsageError(f"{file} holds no pictures. Give at least one.")
    return images[list(spread(range(len(images)), MOST[Kind.IMAGE]))]


def seen_pictures(subject: Subject, images: Bytes) -> Floats:
    """Pictures as a student sees them, `[rows, channels, height, width]`."""
    loaded = load_image(str(subject.folder))
    task = read_images(images, classes=max(2, len(subject.labels[0])), look=look_of(loaded.processor or loaded.config))
    return task.batch(range(len(images))).inputs["pixel_values"].numpy()


def _pictures(subject: Subject, file: Path) -> Samples:
    pixels = seen_pictures(subject, read_pictures(file))
    return Samples(pixels=pixels, origin=f"{len(pixels)} images of {file.name}")
