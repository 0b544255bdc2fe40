"""Records do not change, and knowing them brings no database."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from stillhouse.storage.records import Cut


def test_a_record_does_not_change():
    with pytest.raises(FrozenInstanceError):
        Cut().limit = 5


def test_records_and_ids_bring_no_database():
    code = "import sys, stillhouse.storage.records, stillhouse.storage.ids; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
