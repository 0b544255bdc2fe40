from __future__ import annotations

from stillhouse.data.importers.csv import read_csv
from stillhouse.data.items import Kind
from tests.data.importers.reading import lines, read

HEADER = "Body,Team,Reply,score,tags,session_id,user_id,Extra\n"


def test_columns_become_what_they_are_and_the_rest_metadata(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(HEADER + 'where is it,order,soon,0.5,"a, b",s1,ada,7\n')
    [item], bad = read(read_csv, path, columns={"text": "Body", "label": "Team", "answer": "Reply"})
    assert not bad.count
    assert (item.kind, item.text, item.label, item.words) == (Kind.CHAT, "where is it", "order", "soon")
    facts = item.facts
    assert (facts.grade, facts.tags, facts.conversation, facts.subject) == (0.5, ("a", "b"), "s1", "ada")
    assert facts.metadata == {"Extra": "7"}


def test_labelled_texts_preferences_and_messages(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nhello,greeting\n")
    assert read(read_csv, path)[0][0].kind == Kind.TEXT
    path.write_text("prompt,chosen,rejected\nhello,good,bad\n")
    [item], _ = read(read_csv, path)
    assert (item.kind, item.words, item.rejected["content"]) == (Kind.PREFERENCE, "good", "bad")
    path.write_text('messages\n"[{""role"":""user"",""content"":""a""},{""role"":""assistant"",""content"":""b""}]"\n')
    [item], _ = read(read_csv, path)
    assert (item.text, item.words) == ("a", "b")


def test_rows_without_a_text_or_with_a_grade_that_is_none_are_bad(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,grade\n,1\na,7\nb,many\nc,0\n")
    items, bad = read(read_csv, path)
    assert [item.text for item in items] == ["c"]
    assert "line 2: its column 'text' is empty" in bad.listed()
    assert "grades are from 0 to 1" in bad.listed()
    assert "'many' is not a number" in bad.listed()


def test_objects_of_json_are_rows_too(tmp_path):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": 3, "split": "test"}]
    items, bad = read(read_csv, lines(tmp_path / "a.jsonl", *rows))
    assert not bad.count
    assert [(item.text, item.label, item.facts.split) for item in items] == [("a", "x", None), ("b", "3", "test")]
