"""Packages for browsers come from npm once, or from a file, and only as they are known."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from stillhouse.errors import UsageError
from stillhouse.export.web_runtime import RUNTIME, Package, fetch_package

SCRIPT = b"export const a = 1;\n//# sourceMappingURL=a.js.map\n"


@pytest.fixture
def packed(tmp_path) -> tuple[Package, Path]:
    """A small package and its archive."""
    path = tmp_path / "file.tgz"
    with tarfile.open(path, "w:gz") as opened:
        for name, content in (("package/dist/a.js", SCRIPT), ("package/dist/b.wasm", b"\0asm"), ("package/c", b"no")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return Package(
        "@some/thing", "1.2.3", digest, (("package/dist/a.js", "a.js"), ("package/dist/b.wasm", "b.gz"))
    ), path


def bring(package: Package, archive: Path, home: Path) -> None:
    """Put an archive where a user without npm would."""
    (home / "web").mkdir(parents=True)
    shutil.copy(archive, home / "web" / package.archive)


def npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program by the name of npm."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_wanted_files_are_unpacked_from_an_archive(packed, tmp_path):
    package, archive = packed
    bring(package, archive, tmp_path / "home")
    folder = fetch_package(package, tmp_path / "home")
    assert folder == tmp_path / "home" / "web" / "some-thing-1.2.3"
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix == ".js"} == {
        "a.js": b"export const a = 1;\n"
    }
    assert gzip.decompress((folder / "b.gz").read_bytes()) == b"\0asm"
    assert sorted(file.name for file in folder.parent.iterdir()) == [folder.name, package.archive]


def test_npm_is_asked_once(packed, tmp_path, monkeypatch):
    package, archive = packed
    npm(tmp_path, f'echo "$@" >> {tmp_path}/asked; cp {archive} "$5/{package.archive}"', monkeypatch)
    monkeypatch.chdir(tmp_path)
    first = fetch_package(package, Path("home"))
    assert fetch_package(package, Path("home")) == first
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert asked.startswith("pack --loglevel=error --ignore-scripts")
    assert asked.endswith("@some/thing@1.2.3")


def test_another_archive_is_refused(packed, tmp_path):
    package, archive = packed
    archive.write_bytes(archive.read_bytes() + b"x")
    bring(package, archive, tmp_path / "home")
    with pytest.raises(UsageError, match=r"is not @some/thing 1\.2\.3"):
        fetch_package(package, tmp_path / "home")
    assert [file.name for file in (tmp_path / "home" / "web").iterdir()] == [package.archive]


def test_without_npm_or_network_it_says_what_to_do(packed, tmp_path, monkeypatch):
    package, _ = packed
    npm(tmp_path, "echo 'npm error code ENOTFOUND' >&2; exit 1", monkeypatch)
    with pytest.raises(UsageError, match=r"code ENOTFOUND.*npm pack @some/thing@1\.2\.3"):
        fetch_package(package, tmp_path / "home")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"npm is not installed.*put some-thing-1\.2\.3\.tgz into .*home/web\."):
        fetch_package(package, tmp_path / "home")


def test_the_runtime_is_the_one_without_a_graphics_card(npm_home):
    folder = fetch_package(RUNTIME, npm_home)
    assert gzip.decompress((folder / "ort.wasm.gz").read_bytes())[:4] == b"\0asm"
    assert b"sourceMappingURL" not in (folder / "ort.js").read_bytes()
