from __future__ import annotations

import random
import string
import time

import pytest

from stillhouse.data.personal.credentials import entropy
from stillhouse.data.pii import Type, find

DRAWN = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=40))


@pytest.mark.parametrize(
    ("detail", "secret"),
    [
        ("openai", f"sk-proj-{DRAWN}"),
        ("anthropic", f"sk-ant-api03-{DRAWN}"),
        ("stillhouse", f"sk-sh-{DRAWN}"),
        ("aws_access_key", "AKIAIOSFODNN7EXAMPLE"),
        ("github", f"ghp_{DRAWN[:36]}"),
        ("gitlab", f"glpat-{DRAWN[:20]}"),
        ("slack", "xoxb-123456789012-abcdefGHIJ"),
        ("google", f"AIza{DRAWN[:35]}"),
        ("stripe", f"sk_live_{DRAWN[:24]}"),
        ("hugging_face", f"hf_{DRAWN[:34]}"),
        ("jwt", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.{DRAWN}"),
        ("other", f"gsk_{DRAWN}"),
        ("entropy", DRAWN),
    ],
)
def test_a_key_is_known_by_how_it_begins_or_looks(detail, secret):
    text = f"use {secret}, it works"
    [span] = find(text)
    assert (span.type, span.detail, text[span.start : span.end]) == (Type.SECRET, detail, secret)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password: hunter2!", "hunter2!"),
        ("my password is Tr0ub4dor&3.", "Tr0ub4dor&3"),
        ("DB_PASSWORD=abc123xyz", "abc123xyz"),
        ("Authorization: Bearer abcdef1234567890abcd", "abcdef1234567890abcd"),
        ('"api_key": "9aF3kLm2Qw8ZxYv7Tb4N"', "9aF3kLm2Qw8ZxYv7Tb4N"),
        ("secret = 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("password: swordfish", "swordfish"),
        ("PASSWORD=opensesame", "opensesame"),
        ('{"password": "swordfish"}', "swordfish"),
        ("password: 123456789012", "123456789012"),
        ("password: correct-horse-battery", "correct-horse-battery"),
        ("passwort: geheim", "geheim"),
    ],
)
def test_a_password_is_known_by_the_words_before(text, secret):
    assert [text[each.start : each.end] for each in find(text, {Type.SECRET})] == [secret]


@pytest.mark.parametrize(
    "text",
    [
        "password reset link",
        "my password is wrong",
        "the token is expired",
        "secret: yes",
        "token: ${TOKEN}",
        "password: ****",
        "password: see the manual",
        "Password: required",
        "password: please reset it",
        "password: string",
        "password = getpass()",
        "password=os.environ['PASSWORD']",
        "password = self.password",
        "token: everyone",
        "550e8400-e29b-41d4-a716-446655440000",
        f"sha256:{'9f86d081884c7d65' * 4}",
        "commit 3ed09873ed09873ed09873ed0987abcd",
        "https://example.com/a/very/long/path/that/goes/on/and/on",
        "internationalisation_of_everything_here",
        "sk-aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "the keyboard works",
    ],
)
def test_look_alikes(text):
    assert find(text, {Type.SECRET}) == []


def test_a_long_text_takes_no_long_time():
    started = time.process_time()
    find("-eyJaaaaaaaaaaaa" * 20_000, {Type.SECRET})
    assert time.process_time() - started < 10


def test_a_private_key_goes_whole_even_when_it_is_cut():
    text = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc"
    [span] = find(text)
    assert (span.start, span.end) == (0, len(text))


def test_entropy():
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2
