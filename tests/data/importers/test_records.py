from __future__ import annotations

import gzip
import json

import pytest

from stillhouse.data.importers.records import delimiter_of, read_objects, read_rows, read_table
from stillhouse.errors import TrafficError
from tests.data.importers.reading import lines, read


def values(path, **given):
    records, bad = read(read_objects, path, **given)
    return [(record.number, record.line, record.value) for record in records], bad


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_lines_an_array_and_objects_spread_over_lines_are_read_alike(tmp_path):
    rows = [{"a": 'x,]"[{\\', "b": [1, {"c": []}]}, {"d": "ü\n"}]
    plain = [row for _, _, row in values(lines(tmp_path / "a", *rows))[0]]
    array = values(write(tmp_path / "b", json.dumps(rows)))[0]
    pretty = values(write(tmp_path / "c", json.dumps(rows, indent=2)))[0]
    spread = values(write(tmp_path / "d", "\n".join(json.dumps(row, indent=2) for row in rows)))[0]
    assert plain == rows == [row for _, _, row in array] == [row for _, _, row in pretty]
    assert [row for _, _, row in spread] == rows
    assert [(number, line) for number, line, _ in pretty] == [(1, 2), (2, 11)]


def test_values_are_cut_alike_wherever_the_pieces_end(tmp_path, monkeypatch):
    rows = [{"text": 'she said "a, b] {c}" \\ ' * n, "deep": [[{"n": n}]]} for n in range(9)]
    path = write(tmp_path / "a", json.dumps(rows, indent=1))
    for piece in (1, 2, 3, 7, 64, 1_000):
        monkeypatch.setattr("stillhouse.data.importers.records.CHUNK", piece)
        assert [row for _, _, row in values(path)[0]] == rows


def test_what_is_no_json_object_is_named_by_line_and_reason(tmp_path):
    text = '{"a": 1}\n{"a": NaN}\n\n[1]\n{"a": "\\ud83d"}\n{"a"\n7\n{"b": ' + "[" * 400 + "]" * 400 + "}\n"
    found, bad = values(write(tmp_path / "a", text))
    assert [row for _, _, row in found] == [{"a": 1}]
    told = bad.listed()
    for words in (
        "line 2: it is not valid JSON (NaN is no number",
        "line 4: it is an array",
        "line 5: it is not valid",
    ):
        assert words in told
    assert "line 7: it is a number" in told
    assert "line 8: it cannot be kept" in told
    found, bad = values(write(tmp_path / "b", '[{"a": 1},\n 7, {"b": NaN}, {"c": 2}, {"d":'))
    assert [row for _, _, row in found] == [{"a": 1}, {"c": 2}]
    assert "line 2: element 2: it is a number" in bad.listed()
    assert "element 3: it is not valid JSON" in bad.listed()
    assert "the file ends in the middle of it" in bad.listed()


def test_all_bad_rows_are_told_at_once_unless_they_are_skipped(tmp_path):
    from stillhouse.data.bad_rows import BadRows
    from stillhouse.data.importers.options import Options

    path = write(tmp_path / "a", "{]\n{}\n{[\n")
    with pytest.raises(TrafficError, match=r"2 rows cannot be used:\n.*line 1.*\n.*line 3"):
        list(read_objects(path, Options(), BadRows()))


def test_a_row_of_fifty_megabytes_is_a_bad_row_and_is_not_held(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.write(b'{"a": 1}\n{"long": "')
        for _ in range(50):
            file.write(b"x" * 2**20)
        file.write(b'"}\n{"a": 2}\n')
    found, bad = values(tmp_path / "a")
    assert [row for _, _, row in found] == [{"a": 1}, {"a": 2}]
    assert "line 2: it is 52,428,8" in bad.listed()
    assert len(values(tmp_path / "a", longest=2**26)[0]) == 3
    array = write(tmp_path / "b", b'[{"a": 1}, {"a": "' + b"x" * 3_000 + b'"}]')
    assert "element 2: it is 3,009 bytes long" in values(array, longest=2_000)[1].listed()
    write(array, b'[{"a": "' + b"x" * 600_000 + b'"}]')
    with pytest.raises(TrafficError, match="line 1: here begins a value of more than the 2,000 bytes"):
        values(array, longest=2_000)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        (b"", "is empty|holds no rows"),
        (b"\n\n", "holds no rows"),
        (b"[]", "holds no rows"),
        (b"PK\x03\x04rest", "a zip"),
        (gzip.compress(b'{"a": 1}\n' * 50_000)[:200], "Is it complete"),
    ],
)
def test_files_that_cannot_be_read_as_a_whole_are_refused(tmp_path, content, told):
    with pytest.raises(TrafficError, match=told):
        values(write(tmp_path / "a", content))


def test_gzip_and_a_byte_order_mark_are_understood(tmp_path):
    assert values(write(tmp_path / "a", gzip.compress(b'\xef\xbb\xbf[{"a": 1}]')))[0] == [(1, 1, {"a": 1})]
    assert values(write(tmp_path / "b", b'\xef\xbb\xbf{"a": 1}\n'))[0] == [(1, 1, {"a": 1})]


def test_tables_with_any_delimiter_and_cells_over_several_lines(tmp_path):
    path = write(tmp_path / "a", 'text;label\n"a;\nb";c\n\nd;e\n')
    records, _ = read(read_table, path)
    assert [(each.line, each.value) for each in records] == [
        (2, {"text": "a;\nb", "label": "c"}),
        (5, {"text": "d", "label": "e"}),
    ]
    assert [delimiter_of(head) for head in (b"a,b", b"a;b", b"a\tb", b"a|b")] == [",", ";", "\t", "|"]
    assert len(read(read_rows, path)[0]) == 2
    assert len(read(read_rows, lines(tmp_path / "b", {"a": 1}))[0]) == 1


def test_rows_of_tables_that_do_not_fit_are_kept_with_their_line(tmp_path):
    records, bad = read(read_table, write(tmp_path / "a", b'text,label\na,b\nc\n\xff,d\ne,"f\n'))
    assert [each.value["text"] for each in records] == ["a"]
    told = bad.listed()
    assert "line 3: it has 1 columns where the header has 2" in told
    assert "line 4: it is not UTF-8" in told
    assert "line 5: it is no row of a table" in told
    with pytest.raises(TrafficError, match="different names"):
        read(read_table, write(tmp_path / "b", "a,a\n1,2\n"))
    with pytest.raises(TrafficError, match="no rows below its header"):
        read(read_table, write(tmp_path / "c", "a,b\n"))
    with pytest.raises(TrafficError, match="Is a line end missing"):
        read(read_table, write(tmp_path / "d", "a,b" * 300), longest=100)


@pytest.mark.parametrize("long", ["x" * 300_000 + ",y", '"' + "x" * 300_000 + '",y', '"' + "x\n" * 150_000 + '",y'])
def test_rows_of_tables_that_are_too_long_are_bad_rows_and_the_others_are_read(tmp_path, long):
    path = write(tmp_path / "a", f"text,label\na,b\n{long}\nc,d\n")
    records, bad = read(read_table, path, longest=100_000)
    assert records[-1].line == path.read_text().count("\n")
    found = [each.value for each in records]
    assert (found[0], found[-1]) == ({"text": "a", "label": "b"}, {"text": "c", "label": "d"})
    assert len(found) == 2
    assert "line 3: it is " in bad.listed()
    assert "more than the 100,000 that are read" in bad.listed()


def test_rows_that_are_no_utf_8_say_so(tmp_path):
    row = '{"a": "grüße"}\n'
    found, bad = values(write(tmp_path / "a", row.encode() + row.encode("latin-1")))
    assert len(found) == 1
    assert "line 2: it is not UTF-8 (the byte 0xfc, column 10)" in bad.listed()
