"""Shards: any order, any batch, any process; what was committed survives, and what does not belong is refused."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stillhouse.errors import SignalError
from stillhouse.signals.codec import SampledCodec, TopKCodec
from stillhouse.signals.shards import Origin, Read, ShardReader, ShardWriter
from stillhouse.signals.told import TopK
from tests.signals.tellings import VOCABULARY, draws, top_k
from tests.structure.source import ROOT

ORIGIN = Origin(dataset="d" * 8, teacher="t" * 8, tokenizer="k" * 8)
CODEC = TopKCodec(VOCABULARY, k=16)
SAMPLES = {f"sample {at}": top_k(3 + at % 5, seed=at) for at in range(24)}


def writer(folder: Path, name: str = "0", **changes: object) -> ShardWriter:
    return ShardWriter(**{"folder": folder, "name": name, "origin": ORIGIN, "codec": CODEC, **changes})


def write(folder: Path, samples: list[str], each: int = 7, name: str = "0") -> Path:
    shard = writer(folder, name)
    for number, sample in enumerate(samples, 1):
        shard.append(sample, SAMPLES[sample])
        if number % each == 0:
            shard.commit()
    return shard.finish()


def same(left: Read, right: Read) -> bool:
    """Whether two readings are equal, bit by bit."""
    arrays = [
        (one.told, one.signal.ids, one.signal.log_probs, *(one.signal.shifts[heat] for heat in (2.0, 4.0)))
        for one in (left, right)
    ]
    return all(np.array_equal(a, b) for a, b in zip(*arrays, strict=True))


def test_samples_come_back_by_id_in_the_order_asked_for(tmp_path):
    write(tmp_path, list(SAMPLES))
    reader = ShardReader(tmp_path)
    asked = ["sample 9", "sample 0", "sample 9", "sample 23"]
    read = reader.read(asked)
    assert read.signal.ids.shape == (4, 7, 16)
    assert read.told.sum(axis=1).tolist() == [len(SAMPLES[sample].ids) for sample in asked]
    for at, sample in enumerate(asked):
        told = SAMPLES[sample]
        for position in range(len(told.ids)):
            assert set(read.signal.ids[at, position]) == set(told.ids[position])
    assert np.array_equal(read.signal.log_probs[0], read.signal.log_probs[2])
    assert len(reader) == 24
    assert list(reader.samples()) == list(SAMPLES)
    assert "sample 5" in reader
    assert "sample 99" not in reader
    assert (reader.origin, reader.codec) == (ORIGIN, CODEC)


def test_the_order_of_writing_and_the_commits_do_not_change_the_reading(tmp_path):
    shuffled = np.random.default_rng(0).permutation(list(SAMPLES)).tolist()
    write(tmp_path / "a", list(SAMPLES), each=24)
    write(tmp_path / "b", shuffled, each=3)
    write(tmp_path / "c", shuffled[:10], name="1")
    write(tmp_path / "c", shuffled[10:], name="0")
    readings = [ShardReader(tmp_path / folder).read(sorted(SAMPLES)) for folder in "abc"]
    assert same(readings[0], readings[1])
    assert same(readings[0], readings[2])


def test_a_batch_does_not_change_what_a_sample_says(tmp_path):
    write(tmp_path, list(SAMPLES))
    reader = ShardReader(tmp_path)
    batch = reader.read(list(SAMPLES))
    for at, sample in enumerate(SAMPLES):
        alone = reader.read([sample])
        positions = alone.told.shape[1]
        assert np.array_equal(alone.signal.log_probs[0], batch.signal.log_probs[at, :positions])


def test_extras_lie_beside_the_signals(tmp_path):
    hidden = {sample: np.random.default_rng(0).normal(size=(len(told.ids), 6)) for sample, told in SAMPLES.items()}
    shard = writer(tmp_path, widths={"hidden 2": 6, "pooled": 2})
    for sample, told in SAMPLES.items():
        shard.append(sample, told, {"hidden 2": hidden[sample], "pooled": hidden[sample][:1, :2]})
    shard.finish()
    reader = ShardReader(tmp_path)
    read = reader.read(["sample 4", "sample 0"], extras=["hidden 2", "pooled"])
    assert read.extras["hidden 2"].shape == (2, 7, 6)
    assert read.extras["hidden 2"][0] == pytest.approx(hidden["sample 4"], rel=1e-3)
    assert not read.extras["hidden 2"][1, 3:].any()
    assert read.extras["pooled"].shape == (2, 1, 2)
    assert dict(reader.widths) == {"hidden 2": 6, "pooled": 2}
    assert not reader.read(["sample 4"]).extras
    with pytest.raises(SignalError, match="No extra is named 'mood'; there are hidden 2, pooled"):
        reader.read(["sample 4"], extras=["mood"])


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        ({}, r"keeps the extras \['h'\]"),
        ({"h": np.zeros((3, 5))}, r"\[any, 4\]; this one is \[3, 5\]"),
        ({"h": np.full((3, 4), 1e6)}, "float16 cannot hold"),
        ({"h": np.full((3, 4), np.nan)}, "float16 cannot hold"),
    ],
)
def test_extras_that_cannot_be_kept_are_refused(tmp_path, extras, said):
    with writer(tmp_path, widths={"h": 4}) as shard:
        with pytest.raises(SignalError, match=said):
            shard.append("sample 0", SAMPLES["sample 0"], extras)
        assert len(shard) == 0


def test_draws_are_kept_too(tmp_path):
    told = draws(20, 12)
    shard = writer(tmp_path, codec=SampledCodec(VOCABULARY, draws=24))
    shard.append("one", told)
    shard.finish()
    read = ShardReader(tmp_path).read(["one"])
    assert (np.sort(read.signal.counts[0].sum(axis=1)) == np.sort(told.counts.sum(axis=1))).all()


def test_a_writer_goes_on_where_it_was(tmp_path):
    with writer(tmp_path) as shard:
        shard.append("sample 0", SAMPLES["sample 0"])
        shard.commit()
        shard.append("sample 1", SAMPLES["sample 1"])
    with writer(tmp_path) as shard:
        assert shard.cut == 0
        assert "sample 0" in shard
        assert "sample 1" in shard
        assert len(shard) == 2
        with pytest.raises(SignalError, match="'sample 1' is already in"):
            shard.append("sample 1", SAMPLES["sample 1"])
        for sample in SAMPLES:
            if sample not in shard:
                shard.append(sample, SAMPLES[sample])
        shard.finish()
    write(tmp_path / "whole", list(SAMPLES))
    assert same(ShardReader(tmp_path).read(list(SAMPLES)), ShardReader(tmp_path / "whole").read(list(SAMPLES)))


@pytest.mark.parametrize("seed", range(12))
def test_a_torn_file_keeps_what_was_committed_before_the_tear(tmp_path, seed):
    shard = writer(tmp_path)
    sizes = [0]
    for sample in list(SAMPLES)[:8]:
        shard.append(sample, SAMPLES[sample])
        shard.commit()
        sizes.append((tmp_path / "0.part").stat().st_size)
    shard.close()
    cut = int(np.random.default_rng(seed).integers(0, sizes[-1] + 1))
    (tmp_path / "0.part").write_bytes((tmp_path / "0.part").read_bytes()[:cut])
    shard = writer(tmp_path)
    assert len(shard) == sum(size <= cut for size in sizes[1:])
    for sample in SAMPLES:
        if sample not in shard:
            shard.append(sample, SAMPLES[sample])
    shard.finish()
    write(tmp_path / "whole", list(SAMPLES))
    assert same(ShardReader(tmp_path).read(list(SAMPLES)), ShardReader(tmp_path / "whole").read(list(SAMPLES)))


def test_dying_between_the_index_and_the_new_name_loses_nothing(tmp_path):
    finished = write(tmp_path, list(SAMPLES)[:5])
    finished.rename(tmp_path / "0.part")
    shard = writer(tmp_path)
    assert len(shard) == 5
    shard.append("sample 9", SAMPLES["sample 9"])
    shard.finish()
    assert len(ShardReader(tmp_path)) == 6


WRITES_FOREVER = """
import sys
from pathlib import Path
from tests.signals.test_shards import SAMPLES, writer
shard = writer(Path(sys.argv[1]))
for sample in SAMPLES:
    if sample not in shard:
        shard.append(sample, SAMPLES[sample])
        shard.commit()
        print(sample, flush=True)
shard.append("never committed", SAMPLES["sample 0"])
sys.stdin.read()
"""


def test_killing_the_writer_keeps_every_commit(tmp_path):
    random = np.random.default_rng(0)
    committed: set[str] = set()
    for _ in range(3):
        command = [sys.executable, "-c", WRITES_FOREVER, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(int(random.integers(1, 8))):
                committed.add(process.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.01))
            process.kill()
            committed |= {line.strip() for line in process.stdout}
    shard = writer(tmp_path)
    assert committed <= {sample for sample in SAMPLES if sample in shard}
    assert "never committed" not in shard
    for sample in SAMPLES:
        if sample not in shard:
            shard.append(sample, SAMPLES[sample])
    shard.finish()
    write(tmp_path / "whole", list(SAMPLES))
    assert same(ShardReader(tmp_path).read(list(SAMPLES)), ShardReader(tmp_path / "whole").read(list(SAMPLES)))


def digest(folder: Path, seed: int) -> float:
    """What one process makes of all samples, read in an order of its own."""
    samples = np.random.default_rng(seed).permutation(list(SAMPLES)).tolist()
    reader = ShardReader(folder)
    return sum(
        float(np.exp(reader.read([sample]).signal.log_probs.astype(np.float64)).sum()) for sample in sorted(samples)
    )


def test_many_processes_read_at_once(tmp_path):
    write(tmp_path, list(SAMPLES))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len({*pool.starmap(digest, [(tmp_path, seed) for seed in range(6)]), digest(tmp_path, 9)}) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="locks need POSIX")
def test_two_writers_of_one_shard_are_one_too_many(tmp_path):
    with writer(tmp_path), pytest.raises(SignalError, match="Another process is writing"):
        writer(tmp_path)


@pytest.mark.parametrize("name", ["dataset", "teacher", "tokenizer"])
def test_signals_of_something_else_are_refused(tmp_path, name):
    write(tmp_path, list(SAMPLES)[:3])
    assert len(ShardReader(tmp_path, **{name: getattr(ORIGIN, name)})) == 3
    with pytest.raises(SignalError, match=f"of {name} {getattr(ORIGIN, name)}, not of other"):
        ShardReader(tmp_path, **{name: "other"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"origin": Origin("d" * 8, "other", "k" * 8)}, "has teacher 'tttttttt', not 'other'"),
        ({"codec": TopKCodec(VOCABULARY, k=8)}, "has codec"),
        ({"widths": {"h": 4}}, "has widths"),
    ],
)
def test_a_writer_that_wants_something_else_is_refused(tmp_path, changes, said):
    with writer(tmp_path) as shard:
        shard.append("sample 0", SAMPLES["sample 0"])
    with pytest.raises(SignalError, match=said):
        writer(tmp_path, **changes)


def test_shards_of_two_teachers_are_not_one_set(tmp_path):
    write(tmp_path, list(SAMPLES)[:3])
    shard = writer(tmp_path, name="1", origin=Origin("d" * 8, "other", "k" * 8))
    shard.finish()
    with pytest.raises(SignalError, match="has teacher"):
        ShardReader(tmp_path)


def test_a_finished_shard_is_not_written_again(tmp_path):
    write(tmp_path, list(SAMPLES)[:3])
    with pytest.raises(SignalError, match="is finished"):
        writer(tmp_path)


def test_a_reader_sees_finished_shards_only(tmp_path):
    shard = writer(tmp_path)
    shard.append("sample 0", SAMPLES["sample 0"])
    shard.commit()
    with pytest.raises(SignalError, match="no finished shards, and 1 unfinished"):
        ShardReader(tmp_path)
    shard.finish()
    assert len(ShardReader(tmp_path)) == 1


def test_missing_samples_are_named(tmp_path):
    write(tmp_path, list(SAMPLES)[:3])
    with pytest.raises(SignalError, match="2 of 3 samples have no signals; the first is 'sample 7'"):
        ShardReader(tmp_path).read(["sample 1", "sample 7", "sample 8"])


def test_a_damaged_block_is_refused_and_the_others_are_not(tmp_path):
    path = write(tmp_path, list(SAMPLES), each=8)
    data = bytearray(path.read_bytes())
    at = data.find(b'"sample 8"')
    data[data.find(b"]]}", at) + 60] ^= 1
    path.write_bytes(data)
    reader = ShardReader(tmp_path)
    with pytest.raises(SignalError, match="damaged"):
        reader.read(["sample 9"])
    assert reader.read(["sample 0", "sample 23"]).told.any()


def test_a_shard_without_samples_is_read(tmp_path):
    writer(tmp_path).finish()
    reader = ShardReader(tmp_path)
    assert len(reader) == 0
    assert list(reader.samples()) == []
    assert reader.read([]).told.shape == (0, 0)


def test_a_full_batch_is_committed_by_itself(tmp_path):
    told = top_k(100)
    part = np.arange(32_800) % 100
    shifts = {heat: shift[part] for heat, shift in told.shifts.items()}
    with writer(tmp_path) as shard:
        shard.append("many positions", TopK(told.ids[part], told.log_probs[part], shifts))
        committed = (tmp_path / "0.part").stat().st_size
        assert committed > 32_800 * 16
    assert (tmp_path / "0.part").stat().st_size == committed
