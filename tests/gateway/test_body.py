"""A body is read up to a size; one beyond it is refused with a status that clients understand."""

from __future__ import annotations

import urllib.request

import pytest

from stillhouse.gateway.body import LARGEST_BODY
from tests.gateway.serving import status_of


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY, 400), (LARGEST_BODY + 1, 413), (3 * LARGEST_BODY, 413)])
def test_what_is_too_large_is_refused(alone, size, status):
    request = urllib.request.Request(f"{alone}/v1/chat/completions", b" " * size)
    assert status_of(request) == status
