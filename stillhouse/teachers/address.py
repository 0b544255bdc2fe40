"""The address of a teacher's API: what is one, and that it carries no secret, since addresses are written down."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from stillhouse.errors import UsageError

__all__ = ["chat_address", "check_address"]

SECRETS = frozenset(
    ("key", "api_key", "api-key", "apikey", "subscription-key", "token", "access_token", "sig", "secret", "password")
)
"""Parameters of an address that are a key."""


def check_address(url: str, name: str = "The teacher's URL") -> None:
    """Raise UsageError where `url`, which is called `name`, is no base URL, or carries a secret.

    Addresses stand in lineage, records and data sheets; what is secret in one is not repeated in the error either.
    """
    try:
        parts = urlsplit(url)
        host, query = parts.hostname, parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        parts, host, query = urlsplit(""), None, []
    if "@" in (parts.netloc or url):
        raise UsageError(
            f"{name} holds a user or a password, which would be kept with whatever is made by it. Take them out: a key "
            "belongs into an environment variable."
        )
    if secret := next((each for each, _ in query if each.lower() in SECRETS), None):
        raise UsageError(
            f"{name} holds a key, in its parameter {secret!r}, which would be kept with whatever is made by it. Take "
            "it out: a key belongs into an environment variable."
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{name} = {url!r} is no address of an API, such as http://localhost:8000/v1.")


def chat_address(url: str) -> str:
    """Where an API's chat completions are, given its base URL: a bare host means `/v1`. Raises UsageError."""
    check_address(url)
    parts = urlsplit(url)
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return parts._replace(path=path).geturl()
