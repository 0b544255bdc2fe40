"""Archives: what was put in comes out, whatever is wrong is found, and nothing half is left."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from stillhouse.errors import StorageError, UsageError
from stillhouse.storage.archive import ArchiveWriter, Manifest, check_archive, entries

MANIFEST = Manifest("1.0", 5, "sqlite", "0002", {"files": 1})


def written(path, content: bytes = b"some bytes"):
    with ArchiveWriter(path) as archive:
        archive.add("blobs/1", io.BytesIO(content), len(content))
        archive.finish(MANIFEST)
    return path


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz"])
def test_what_was_put_in_comes_out(tmp_path, name):
    path = written(tmp_path / "new" / name)
    manifest = check_archive(path)
    assert (manifest.form, manifest.tables, manifest.created) == ("0002", {"files": 1}, 5)
    assert manifest.members["blobs/1"].bytes == 10
    with entries(path) as members:
        assert next((name, source.read(), size) for name, source, size in members) == ("blobs/1", b"some bytes", 10)
    assert path.read_bytes()[:2] == (b"bl" if name == "a.tar" else b"\x1f\x8b")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [name]


def test_what_is_not_finished_leaves_what_was_there_before(tmp_path):
    path = written(tmp_path / "a.tar", b"before")

    def half() -> None:
        with ArchiveWriter(path) as archive:
            archive.add("blobs/1", io.BytesIO(b"after"), 5)
            raise EOFError

    with pytest.raises(EOFError):
        half()
    assert [each.name for each in tmp_path.iterdir()] == ["a.tar"]
    with entries(path) as members:
        assert next(members)[1].read() == b"before"


def test_a_flipped_bit_is_found(tmp_path):
    path = written(tmp_path / "a.tar")
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"some bytes")] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StorageError, match=r"damaged: blobs/1 are not"):
        check_archive(path)


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_missing_end_is_found(tmp_path, name, share):
    path = written(tmp_path / name, b"x" * 100_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(StorageError, match=str(path)):
        check_archive(path)


def test_a_member_more_or_less_than_the_manifest_names_is_found(tmp_path):
    path = tmp_path / "a.tar"
    told = {"stillhouse": "1", "created": 5, "kind": "sqlite", "form": "0002", "tables": {}, "format": 1}
    for members in ({}, {"a": {"sha256": "0", "bytes": 1}, "b": {"sha256": "0", "bytes": 1}}):
        with tarfile.open(path, "w") as tar:
            for name, content in [("a", b"x"), ("manifest.json", json.dumps({**told, "members": members}).encode())]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        with pytest.raises(StorageError, match="damaged"):
            check_archive(path)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a/..", "..", "./x"])
def test_a_member_that_would_lie_elsewhere_is_refused(tmp_path, name):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(StorageError, match="no backup"):
        check_archive(path)


def test_a_link_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("home/link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(path, "w") as tar:
        tar.addfile(info)
    with pytest.raises(StorageError, match="no backup"):
        check_archive(path)


def test_what_is_no_archive_is_said(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"hello" * 1_000)
    with pytest.raises(StorageError, match="no whole archive"):
        check_archive(path)
    with pytest.raises(UsageError, match="no file"):
        check_archive(tmp_path / "none.tar")


def test_an_archive_of_a_newer_form_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    content = json.dumps({"format": 2}).encode()
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("manifest.json")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    with pytest.raises(StorageError, match="newer Stillhouse"):
        check_archive(path)
