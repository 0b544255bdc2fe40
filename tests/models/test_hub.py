"""Models come from a hub where one answers; where none does, nobody waits for it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from stillhouse.models.hub import commit_of, files_of, only_local
from tests.models import tiny
from tests.structure.source import ROOT

COMMIT = "c0ffee" + 34 * "0"


class Hub(BaseHTTPRequestHandler):
    """The part of a model hub that downloads need, for the one encoder `some/encoder`."""

    def __init__(self, folder: Path, *arguments) -> None:
        self.folder = folder
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.wfile.write(self.do_HEAD())

    def do_HEAD(self) -> bytes:
        start, _, name = self.path.partition("/resolve/")
        file = self.folder / name.partition("/")[2]
        content = file.read_bytes() if start == "/some/encoder" and file.is_file() else b""
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if not content:
            self.send_header("X-Error-Code", "EntryNotFound" if "some/encoder" in self.path else "RepoNotFound")
        self.end_headers()
        return content

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def hub(tmp_path) -> Iterator[str]:
    folder = tiny.save(tmp_path / "model", tiny.encoder(), tiny.wordpiece())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


ASK = """
import time
from stillhouse.errors import UsageError
from stillhouse.models.load import blocks_of, fingerprint, load_encoder
weights = list(load_encoder("some/encoder").model.parameters())
print(blocks_of("some/encoder"), fingerprint("some/encoder"), len(weights) > 9)
started = time.monotonic()
try:
    blocks_of("no/such-encoder")
except UsageError as error:
    print(str(error)[:46], time.monotonic() - started < 4)
"""
NOBODY = "http://127.0.0.1:9"
"""A port on which nothing listens."""


def test_an_encoder_comes_from_the_hub_and_once_that_is_gone_from_this_machine(hub, tmp_path):
    for endpoint in (hub, NOBODY):
        environment = {key: value for key, value in os.environ.items() if key != "HF_HUB_OFFLINE"}
        environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", ASK]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"3 {COMMIT} True\nThe encoder 'no/such-encoder' cannot be loaded True\n"


def test_a_folder_needs_no_hub(tmp_path):
    assert only_local(str(tmp_path))


def test_what_was_never_downloaded_has_no_commit():
    assert commit_of("no/such-encoder") is None


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def named(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in files_of(folder)}


def test_a_model_is_its_own_files_and_not_what_lies_beside_them(tmp_path):
    own = {"config.json", "model.safetensors", "tokenizer.json", "vocab.txt", "merges.txt", "chat_template.jinja"}
    beside = {
        "checkpoint-500/optimizer.pt",
        "checkpoint-500/model.safetensors",
        "runs/events",
        "small/model/config.json",
    }
    torn = {"pytorch_model.bin", "training_args.bin", "optimizer.pt", "metrics.jsonl", ".hidden.json"}
    assert named(filled(tmp_path, *own, *beside, *torn)) == own


def test_where_there_are_no_safetensors_the_pickled_weights_are_the_model(tmp_path):
    own = {"config.json", "pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"}
    assert named(filled(tmp_path, *own, "training_args.bin")) == own


def test_a_sentence_encoder_has_the_folders_that_it_names(tmp_path):
    own = {"config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin"}
    folder = filled(tmp_path / "own", *own, "model.safetensors", "3_Other/config.json", "../elsewhere/config.json")
    parts = [{"path": path} for path in ("", "1_Pooling", "2_Dense", "../elsewhere", "4_Normalize")]
    (folder / "modules.json").write_text(json.dumps(parts))
    assert named(folder) == own | {"model.safetensors", "modules.json"}
