"""The OpenAPI document: every route that is declared, with its scope, and every answer that it may give."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from stillhouse.gateway.app import create_app
from stillhouse.gateway.auth import Gate
from stillhouse.gateway.document import document, known_operations
from stillhouse.gateway.house import House
from stillhouse.gateway.shelf import Shelf

ENVELOPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


@pytest.fixture(scope="module")
def gate(tmp_path_factory) -> Gate:
    """The gate of a gateway with everything."""
    gate = Gate()
    create_app(House(), Shelf(None, tmp_path_factory.mktemp("home")), gate)
    return gate


@pytest.fixture(scope="module")
def told(gate) -> dict:
    return document(gate.declared)


def operations(told: dict) -> dict[tuple[str, str], dict]:
    return {(method.upper(), path): one for path, at in told["paths"].items() for method, one in at.items()}


def test_what_is_declared_is_told_and_what_is_told_is_declared(gate, told):
    declared = {(method, path.replace(":path}", "}")): scope for (method, path), scope in gate.declared.items()}
    assert {place: one["x-scope"] for place, one in operations(told).items()} == declared
    assert set(known_operations()) == set(gate.declared)


def test_a_key_is_asked_for_wherever_there_is_a_scope(told):
    for one in operations(told).values():
        scope = one["x-scope"]
        assert one["security"] == ([] if scope is None else [{"key": [scope]}])
        assert ({"401", "403"} <= set(one["responses"])) == (scope is not None)


def test_every_operation_tells_its_refusals_with_the_envelope(told):
    for (method, path), one in operations(told).items():
        statuses = set(one["responses"])
        assert {"400", "429", "500"} < statuses
        assert len([status for status in statuses if status.startswith("2")]) == 1, (method, path)
        assert ("413" in statuses) == (method == "POST")
        assert "{" not in path or "404" in statuses
        for status, answer in one["responses"].items():
            if "$ref" in answer:
                answer = told["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            assert status.startswith("2") or answer["content"] == ENVELOPE


def test_every_call_that_makes_something_takes_a_key_by_which_it_is_known_again(told):
    key = told["components"]["parameters"]["IdempotencyKey"]
    assert (key["name"], key["in"], key["required"]) == ("idempotency-key", "header", False)
    assert key["schema"]["maxLength"] == 255
    assert "retry-after" in told["components"]["responses"]["Conflict"]["headers"]
    for (method, path), one in operations(told).items():
        assert has_key(one) == (method == "POST"), (method, path)
        if not has_key(one):
            continue
        well = next(answer for status, answer in one["responses"].items() if status.startswith("2"))
        assert "409" in one["responses"]
        assert "idempotent-replayed" in well["headers"]


def has_key(one: dict) -> bool:
    return {"$ref": "#/components/parameters/IdempotencyKey"} in one.get("parameters", [])


def test_operations_have_names_of_their_own(told):
    names = [one["operationId"] for one in operations(told).values()]
    assert len(names) == len(set(names))
    assert all(one["summary"].endswith(".") for one in operations(told).values())


def test_every_reference_leads_somewhere_and_every_schema_is_one(told):
    waiting: list[object] = [told]
    while waiting:
        one = waiting.pop()
        waiting += one if isinstance(one, list) else one.values() if isinstance(one, dict) else []
        if isinstance(one, dict) and "$ref" in one:
            found: dict = told
            for step in one["$ref"].removeprefix("#/").split("/"):
                found = found[step]
    for schema in told["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_a_gateway_without_storage_tells_no_more_than_it_has():
    gate = Gate()
    create_app(House(), gate=gate)
    assert set(document(gate.declared)["paths"]) == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{model}",
        "/healthz",
        "/metrics",
        "/openapi.json",
    }


def test_a_route_that_nobody_described_is_an_error():
    with pytest.raises(KeyError):
        document({("GET", "/v1/undescribed"): None})
