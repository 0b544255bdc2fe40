"""A run that is stopped again and again, in every stage, ends with the same artifacts as one left in peace."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.recipes.runs import LABELS, calls, one_core, start, tiny_encoder, write

__all__ = ["tiny_encoder"]

LADDER = ("--student", "words,encoder-1")
MOMENTS = {
    "the assistant learns": "home/stages/assistant-*.partial/.checkpoint",
    "words learn": "home/stages/words-*.partial/.checkpoint",
    "words are exported": "home/stages/words-*.partial/.float32",
    "words are timed": "home/stages/pace-words-*.partial",
    "an encoder is begun": "home/stages/encoder-1-*.partial",
    "an encoder learns": "home/stages/encoder-1-*.partial/.checkpoint",
    "an encoder is exported": "home/stages/encoder-1-*.partial/.float32",
    "the bundle is written": ".student.partial-*/new",
}


@pytest.fixture(autouse=True)
def on_one_core() -> Iterator[None]:
    with one_core():
        yield


@pytest.fixture(scope="module")
def traffic(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("traffic") / "calls.jsonl", calls(LABELS))


@pytest.fixture
def begin(traffic, tiny_encoder) -> Callable[..., subprocess.Popen[str]]:
    def begin(folder: Path, *options: object) -> subprocess.Popen[str]:
        place = ("--out", folder / "student", "--home", folder / "home", "--encoder", tiny_encoder, "--json")
        return start("distill", traffic, *place, *(options or LADDER))

    return begin


def stop(process: subprocess.Popen[str], folder: Path, moment: str, number: int) -> bool:
    """Send a signal once a file of that name is there; False when the process ended before."""
    while not any(folder.glob(moment)):
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    process.send_signal(number)
    return True


def finish(process: subprocess.Popen[str]) -> tuple[dict, str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out)["hashes"], err


def interrupted(begin, folder: Path, moments: list[str], numbers: list[int]) -> tuple[dict, str]:
    """Stop a run at each moment in turn, one signal after the other; then let it finish."""
    folder.mkdir()
    for at, moment in enumerate(moments):
        number = numbers[at % len(numbers)]
        process = begin(folder)
        hit = stop(process, folder, MOMENTS[moment], number)
        out, err = process.communicate(timeout=240)
        assert hit or moment == "the bundle is written", f"too fast: {moment}: {process.returncode}, {err}"
        if number == signal.SIGINT and process.returncode:
            assert process.returncode == 130, err
            assert json.loads(out)["error"]["type"] == "Interrupted"
            assert "Traceback" not in err
        elif number == signal.SIGKILL and hit:
            assert process.returncode in (-signal.SIGKILL, 0)
    ended = finish(begin(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["home", "student"]
    assert not list((folder / "home").rglob("*.partial"))
    return ended


@pytest.mark.slow
def test_a_run_stopped_in_its_stages_makes_the_same(begin, tmp_path):
    peace, told = finish(begin(tmp_path / "peace"))
    assert "done before" not in told
    moments = ["the assistant learns", "words are timed", "an encoder is begun"]
    hashes, told = interrupted(begin, tmp_path / "stopped", moments, [signal.SIGKILL, signal.SIGINT])
    assert hashes == peace
    assert " ".join(told.split()).count("done before") >= 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_run_stopped_in_every_stage_makes_the_same(number, begin, tmp_path):
    peace, _ = finish(begin(tmp_path / "peace"))
    assert interrupted(begin, tmp_path / "stopped", list(MOMENTS), [number])[0] == peace


@pytest.mark.slow
def test_a_home_has_room_for_one_run(begin, tmp_path):
    first = begin(tmp_path)
    while not any(tmp_path.glob("home/stages/assistant-*.partial")):
        assert first.poll() is None
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = begin(tmp_path)
    out, err = second.communicate(timeout=120)
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert "Another run is at work" in json.loads(out)["error"]["message"]
    assert err.count("error:") == 1
