from __future__ import annotations

import json

from stillhouse.data.exporters.dpo import write_dpo
from tests.data.exporters.made_items import CHAT, PAIR, WORSE
from tests.data.importers.reading import ANSWER, USER


def test_pairs_as_messages_and_the_rest_counted(tmp_path):
    done = write_dpo([PAIR, CHAT], tmp_path / "a")
    assert (done.written, done.left_out) == (1, {"it has no better and worse answer": 1})
    assert json.loads((tmp_path / "a").read_text()) == {"prompt": [USER], "chosen": [ANSWER], "rejected": [WORSE]}
