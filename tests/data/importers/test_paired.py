from __future__ import annotations

import json
import wave

import pytest

from stillhouse.data.importers.paired import read_paired
from stillhouse.data.items import Kind
from stillhouse.errors import TrafficError
from tests.data.importers.reading import lines, picture, read


def sound(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(b"\0\0" * 80)


def test_sidecars_of_words_and_of_json(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture())
    (folder / "a.txt").write_text("a red field")
    sound(folder / "b.wav")
    (folder / "b.json").write_text(json.dumps({"text": "silence", "label": "none", "take": 2}))
    (folder / "c.png").write_bytes(picture())
    (folder / "d.txt").write_text("alone")
    items, bad = read(read_paired, folder)
    assert [(item.kind, item.text, item.label) for item in items] == [
        (Kind.PAIRED, "a red field", None),
        (Kind.PAIRED, "silence", "none"),
    ]
    assert items[1].media[0].type == "audio/wav"
    assert items[1].facts.metadata == {"take": "2"}
    assert "c.png: there is no c.txt or c.json" in bad.listed()
    assert "words and no file" in bad.listed()


def test_lists_that_name_files(tmp_path):
    folder = tmp_path / "set"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.png").write_bytes(picture())
    (folder / "train" / "fake.png").write_bytes(b"hello")
    (tmp_path / "secret.txt").write_text("x")
    rows = [
        {"file_name": "a.png", "text": "a red field"},
        {"file_name": "../../secret.txt", "text": "x"},
        {"file_name": "gone.png", "text": "x"},
        {"file_name": "fake.png", "text": "x"},
        {"text": "x"},
    ]
    lines(folder / "train" / "metadata.jsonl", *rows)
    items, bad = read(read_paired, folder)
    assert [(item.text, item.facts.split, item.media[0].name) for item in items] == [("a red field", "train", "a.png")]
    told = bad.listed()
    for words in ("outside the folder", "no file 'gone.png'", "fake.png is no picture", "names no file"):
        assert words in told
    (folder / "train" / "metadata.jsonl").unlink()
    (folder / "train" / "metadata.csv").write_text("file_name,label\na.png,red\n")
    [item], _ = read(read_paired, folder)
    assert (item.kind, item.label) == (Kind.IMAGE, "red")


def test_no_folder_at_all(tmp_path):
    with pytest.raises(TrafficError, match="does not exist"):
        read(read_paired, tmp_path / "gone")
