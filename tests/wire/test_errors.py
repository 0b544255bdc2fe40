"""Errors in OpenAI's envelope."""

from __future__ import annotations

import json

from stillhouse.wire.errors import Overloaded, Unsupported, not_found, read_error, unknown_model, write_error


def test_the_envelope_says_whose_fault_it_is():
    theirs = json.loads(write_error("No", 400, "bad", "messages[0]"))
    assert theirs == {
        "error": {"message": "No", "type": "invalid_request_error", "param": "messages[0]", "code": "bad"}
    }
    assert json.loads(write_error("Oh", 502))["error"] == {
        "message": "Oh",
        "type": "server_error",
        "param": None,
        "code": None,
    }


def test_known_errors_have_the_codes_clients_expect():
    assert (unknown_model("x").status, unknown_model("x").code) == (404, "model_not_found")
    assert (Unsupported("no", "tools").status, Unsupported("no", "tools").code) == (400, "unsupported_feature")
    assert (Overloaded(9).status, "9 calls" in str(Overloaded(9))) == (503, True)


def test_what_is_not_here_is_named_by_kind_and_id():
    error = not_found("Eval", "eval_1", "eval_id")
    assert (str(error), error.status, error.code, error.param) == ("Eval eval_1 not found", 404, "not_found", "eval_id")
    assert len(str(not_found("Eval", "x" * 500, "eval_id"))) < 120


def test_an_envelope_is_read_and_what_is_none_is_none():
    assert read_error(write_error("No", 400, "bad")) == ("No", "bad")
    assert read_error(write_error("No", 400)) == ("No", None)
    for other in (b"", b"[]", b"{}", b'{"error":"no"}', b'{"error":{"message":1}}', b"<html>"):
        assert read_error(other) is None
