from __future__ import annotations

import pytest

from stillhouse.data.importers.options import ROLES, Options, columns_of
from stillhouse.errors import UsageError


def test_columns_are_found_by_name_and_each_is_one_thing():
    found = columns_of(["Question", "Label", "output", "extra"], Options(), "a.csv")
    assert found == {"text": "Question", "label": "Label", "answer": "output"}
    named = columns_of(["a", "text"], Options(columns={"label": "text", "text": "a"}), "a.csv")
    assert named == {"label": "text", "text": "a"}


def test_what_cannot_be_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'label'"):
        Options(columns={"lable": "x"})
    with pytest.raises(UsageError, match=r"no column 'Boddy'.* Did you mean 'Body'"):
        columns_of(["Body"], Options(columns={"text": "Boddy"}), "a.csv")
    with pytest.raises(UsageError, match="at least one byte"):
        Options(longest=0)
    assert "text" in ROLES
