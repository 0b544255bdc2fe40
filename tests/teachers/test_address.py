"""Addresses: what is one, and that none carries a secret, not even into the error that refuses it."""

from __future__ import annotations

import pytest

from stillhouse.errors import UsageError
from stillhouse.teachers.address import chat_address, check_address


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@localhost:8000/v1",
        "https://hunter2@example.com/v1",
        "https:/user:hunter2@example.com",
        "https://example.com/v1?api-version=2&API-Key=hunter2",
        "https://example.com/v1?key=hunter2",
        "http://user:hunter2@[::1",
    ],
)
def test_an_address_with_a_secret_is_refused_without_repeating_it(url):
    with pytest.raises(UsageError, match="base_url holds a") as refused:
        check_address(url, "base_url")
    assert "environment variable" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://example.com", "https://", "http://[::1", ""])
def test_what_is_no_address_is_said_with_an_example(url):
    with pytest.raises(UsageError, match=r"is no address of an API, such as http://localhost:8000/v1\."):
        check_address(url)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1/chat/completions"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1/chat/completions"),
        ("https://example.com/a/chat/completions", "https://example.com/a/chat/completions"),
        ("https://example.com/a@b?api-version=2", "https://example.com/a@b/chat/completions?api-version=2"),
    ],
)
def test_calls_go_to_the_chat_completions_of_a_base_url(url, address):
    assert chat_address(url) == address
