"""Frames come back whole; a torn end is cut, damage before whole frames is not taken for one."""

from __future__ import annotations

import errno
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from stillhouse.errors import SignalError
from stillhouse.signals.frames import append_frame, read_frame, read_frames, sync_folder

SECTIONS = [("a", b"some bytes"), ("empty", b""), ("b", bytes(range(256)) * 5)]


def write(path: Path, frames: int = 3) -> list[int]:
    with path.open("a+b", buffering=0) as file:
        return [append_frame(file, {"number": number, "name": "Größe"}, SECTIONS) for number in range(frames)]


def bytes_of(path: Path) -> np.ndarray:
    return np.fromfile(path, dtype=np.uint8)


def test_frames_come_back_as_they_were_written(tmp_path):
    starts = write(tmp_path / "f")
    data = bytes_of(tmp_path / "f")
    frames, end = read_frames(data, tmp_path / "f")
    assert end == len(data)
    assert [frame.said for frame in frames] == [{"number": number, "name": "Größe"} for number in range(3)]
    for start, frame in zip(starts, frames, strict=True):
        assert read_frame(data, start) == frame
        assert [(name, part.read(data).tobytes()) for name, part in frame.sections.items()] == SECTIONS
        assert all(part.start % 8 == 0 for part in frame.sections.values())


@pytest.mark.parametrize("share", np.linspace(0, 1, 40).tolist())
def test_a_file_cut_anywhere_keeps_the_frames_before(tmp_path, share):
    starts = write(tmp_path / "f")
    data = bytes_of(tmp_path / "f")
    cut = int(share * len(data))
    frames, end = read_frames(data[:cut], tmp_path / "f")
    ends = [*starts[1:], len(data)]
    assert len(frames) == sum(at <= cut for at in ends)
    assert end == ([0, *ends][len(frames)])


def test_an_end_of_zeros_or_garbage_is_torn(tmp_path):
    write(tmp_path / "f", 2)
    data = bytes_of(tmp_path / "f")
    for tail in (np.zeros(100, dtype=np.uint8), np.random.default_rng(0).integers(0, 256, 999).astype(np.uint8)):
        assert read_frames(np.concatenate([data, tail]), tmp_path / "f")[1] == len(data)


def test_a_last_frame_whose_bytes_did_not_arrive_is_torn(tmp_path):
    starts = write(tmp_path / "f")
    data = bytes_of(tmp_path / "f")
    data[-20:] = 0
    frames, end = read_frames(data, tmp_path / "f")
    assert (len(frames), end) == (2, starts[2])


def test_damage_before_whole_frames_is_told(tmp_path):
    starts = write(tmp_path / "f")
    data = bytes_of(tmp_path / "f")
    data[starts[1] + 30] ^= 1
    with pytest.raises(SignalError, match=f"damaged at byte {starts[1]:,}"):
        read_frames(data, tmp_path / "f")


def test_a_damaged_section_is_refused_when_it_is_read(tmp_path):
    write(tmp_path / "f", 1)
    data = bytes_of(tmp_path / "f")
    frame = read_frame(data, 0)
    data[frame.sections["b"].start + 7] ^= 1
    assert frame.sections["a"].read(data).tobytes() == b"some bytes"
    with pytest.raises(SignalError, match=r"\(b\) are damaged"):
        frame.sections["b"].read(data)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    class Full(FileIO):
        """Takes 700 bytes, a part at a time, and then has no space left."""

        left = 700

        def write(self, content):
            if self.left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(content[: min(self.left, 100)])
            self.left -= taken
            return taken

    write(tmp_path / "f", 1)
    before = bytes_of(tmp_path / "f")
    with Full(tmp_path / "f", "a+") as file, pytest.raises(OSError, match="No space"):
        append_frame(file, {}, SECTIONS)
    assert np.array_equal(bytes_of(tmp_path / "f"), before)


def test_a_folder_is_synced(tmp_path):
    sync_folder(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        sync_folder(tmp_path / "nowhere")
