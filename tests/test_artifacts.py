from __future__ import annotations

from stillhouse.artifacts import hash_bytes, hash_file, hash_folder, hash_json, hash_lines


def test_bytes_hash_as_sha256_does():
    assert hash_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_hashes_by_value_not_by_order():
    assert hash_json({"a": 1, "b": ["é"]}) == hash_json({"b": ["é"], "a": 1})
    assert hash_json([1, 2]) != hash_json([2, 1])


def test_where_a_line_ends_matters():
    assert hash_lines(["ab", "c"]) != hash_lines(["a", "bc"])
    assert hash_lines(iter(["ab"])) == hash_lines(["ab"])


def test_a_file_hashes_as_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert hash_file(tmp_path / "file") == hash_bytes(b"abc")


def test_a_folder_hashes_names_and_bytes(tmp_path):
    def folder(name, files):
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
        return hash_folder(tmp_path / name)

    first = folder("first", {"a": "1", "b/c": "2"})
    assert folder("same", {"b/c": "2", "a": "1"}) == first
    assert folder("renamed", {"a": "1", "b/d": "2"}) != first
    assert folder("changed", {"a": "1", "b/c": "3"}) != first
