from __future__ import annotations

import json

from stillhouse.data.exporters.alpaca import write_alpaca
from tests.data.exporters.made_items import CHAT, PAIR, TOOL, TURNS


def test_rows_with_system_history_and_two_answers(tmp_path):
    done = write_alpaca([CHAT, TURNS, PAIR, TOOL], tmp_path / "a")
    first, second, third = (json.loads(line) for line in (tmp_path / "a").read_text().splitlines())
    assert first == {"instruction": "where is it", "input": "", "output": "order", "system": "Sort."}
    assert second["history"] == [["where is it", "order"]]
    assert (third["chosen"], third["rejected"]) == ("order", 'no, "never"\n')
    assert done.left_out == {"it has tools, pictures or files, which these rows do not hold": 1}
