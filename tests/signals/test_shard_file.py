"""A finished file finds its samples, and says so when it is no shard, cut short or of another format."""

from __future__ import annotations

import numpy as np
import pytest

from stillhouse.errors import SignalError
from stillhouse.signals import shard_file
from stillhouse.signals.codec import TopKCodec
from stillhouse.signals.frames import append_frame
from stillhouse.signals.shard_file import END, FORMAT, TRAILER, ShardFile, compare_heads, sample_key
from stillhouse.signals.shards import Origin, ShardWriter
from tests.signals.tellings import VOCABULARY, top_k


@pytest.fixture
def path(tmp_path):
    writer = ShardWriter(tmp_path, "0", Origin("d", "t", "k"), TopKCodec(VOCABULARY, 16), {"h": 3})
    for at in range(6):
        writer.append(f"sample {at}", top_k(at + 1, seed=at), {"h": np.full((at + 1, 3), at)})
        if at % 2:
            writer.commit()
    return writer.finish()


def test_samples_are_found_in_their_blocks(path):
    shard = ShardFile(path)
    assert shard.count == 6
    assert [list(block.samples) for block in shard.blocks()] == [
        [f"sample {at}", f"sample {at + 1}"] for at in (0, 2, 4)
    ]
    block, number = shard.find("sample 3")
    assert (block.samples[number], number) == ("sample 3", 1)
    assert block.extra("h", number).view("<f2").tolist() == [3.0] * 12
    assert shard.find("sample 6") is None


def test_two_samples_of_one_key_are_told_apart(path, monkeypatch):
    keys = {f"sample {at}": 7 for at in range(6)}
    monkeypatch.setattr("stillhouse.signals.shards.sample_key", lambda sample: keys[sample])
    writer = ShardWriter(path.parent, "1", Origin("d", "t", "k"), TopKCodec(VOCABULARY, 16))
    for sample in keys:
        writer.append(sample, top_k(1))
    same = writer.finish()
    monkeypatch.setattr(shard_file, "sample_key", lambda _: 7)
    shard = ShardFile(same)
    assert [shard.find(sample)[1] for sample in keys] == list(range(6))
    assert shard.find("another") is None


def test_keys_do_not_depend_on_the_process():
    assert sample_key("sample 1") == int.from_bytes(bytes.fromhex("0fb2b15edfb9c50e"), "little")


@pytest.mark.parametrize("keep", [0, 10, 500, -1, -16])
def test_a_file_cut_short_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SignalError, match=r"no shard|cut short|empty"):
        ShardFile(path)


def test_a_damaged_index_or_coder_is_refused(path):
    data = bytearray(path.read_bytes())
    start, _ = TRAILER.unpack(data[-TRAILER.size :])
    data[start + 30] ^= 1
    path.write_bytes(data)
    with pytest.raises(SignalError, match="cut short or damaged"):
        ShardFile(path)


def test_another_format_is_refused(tmp_path):
    with (tmp_path / "0.shard").open("a+b", buffering=0) as file:
        append_frame(file, {"format": FORMAT + 1}, [])
        index = append_frame(file, {"index": 0}, [("keys", b""), ("places", b""), ("starts", b"")])
        file.write(TRAILER.pack(index, END))
    with pytest.raises(SignalError, match=f"has format {FORMAT + 1}; this version reads {FORMAT}"):
        ShardFile(tmp_path / "0.shard")


def test_heads_are_compared_by_name(tmp_path):
    compare_heads(tmp_path, {"a": 1, "b": 2}, {"a": 1})
    with pytest.raises(SignalError, match="has a 1, not 2"):
        compare_heads(tmp_path, {"a": 1}, {"a": 2})
