"""The server against its own OpenAPI document: schemathesis sends what the document allows, and what it does not.

`pytest -m slow tests/wire/test_openapi_fuzz.py -s` sends 10,000 cases and says what came of them.
"""

from __future__ import annotations

import copy
import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.furnished import Furnished, furnished

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CASES = 10_000


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[Furnished]:
    with furnished(tmp_path_factory.mktemp("home"), copies=3) as one:
        yield one


@dataclass
class Seen:
    """What came of the cases that were sent."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return self.statuses.total()

    def count(self, status: int) -> int:
        return sum(times for (_, each), times in self.statuses.items() if each == status)


def told(house: Furnished) -> dict:
    """The document as the server tells it."""
    with urllib.request.urlopen(f"{house.url}/openapi.json") as response:
        return json.load(response)


def document(house: Furnished) -> dict:
    """The document with two changes: ids are often those of what is there, and answers say no more than it tells."""
    known = told(house)
    schemas = known["components"]["schemas"]
    for name, ids in house.ids.items():
        schemas[name] = {"anyOf": [{"enum": ids}, schemas[name]]}
    known["paths"]["/v1/chat/completions"]["post"]["responses"].pop("default")  # the upstream here refuses nothing
    for name in only_answered(known):
        close(schemas[name])
    return known


def only_answered(known: dict) -> set[str]:
    """The schemas that answers refer to, and requests do not."""
    asked, answered = [], []
    for path in known["paths"].values():
        for one in path.values():
            asked += [one.get("requestBody", {}), one.get("parameters", [])]
            answered.append(one["responses"])
    return reached(known, answered) - reached(known, asked) - {"ChatCompletion", "ChatCompletionChunk"}


def reached(known: dict, start: object) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += one.values()
            name = str(one.get("$ref", "")).rpartition("/")[2]
            if name in known["components"]["schemas"] and name not in found:
                found.add(name)
                waiting.append(known["components"]["schemas"][name])
    return found


def close(schema: object) -> None:
    """Let objects have no fields but those that are told, wherever any are told."""
    if isinstance(schema, list):
        for each in schema:
            close(each)
    elif isinstance(schema, dict):
        for each in schema.values():
            close(each)
        if schema.get("type") in ("object", ["object", "null"]) and "properties" in schema:
            schema.setdefault("additionalProperties", False)


def has_envelope(response: requests.Response) -> bool:
    """Whether a refusal is told in OpenAI's words."""
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return False
    return set(error) == {"message", "type", "param", "code"} and bool(error["message"])


def send(house: Furnished, operation, mode: GenerationMode, cases: int, number: int, seen: Seen) -> None:
    """Send some cases of one operation, and note what is wrong with the answers."""

    @seed(number)
    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def probe(case) -> None:
        response = case.call(
            base_url=house.url, headers={"Authorization": f"Bearer {house.key}"}, session=session, timeout=30
        )
        seen.statuses[operation.label, response.status_code] += 1
        trouble: list[str] = []
        try:
            case.validate_response(response, checks=CHECKS)
        except Exception as error:
            trouble = [str(error)]
        if response.status_code >= 400 and not has_envelope(response):
            trouble.append(f"no envelope: {response.status_code} {response.content[:200]!r}")
        if trouble and len(seen.wrong) < 40:
            seen.wrong.append(f"{operation.label}: {trouble} {case.as_curl_command()[:600]}")

    with requests.Session() as session:
        try:
            probe()
        except Exception as error:
            if type(error).__name__ != "Unsatisfiable":  # what cannot be wrong: a route without a parameter
                raise


def fuzz(house: Furnished, cases: int, each: int) -> Seen:
    """Send `each` right and wrong cases of every operation, over and over until there are enough; deletions last."""
    schema = schemathesis.openapi.from_dict(document(house))
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda one: one.method.upper() == "DELETE")
    seen, number = Seen(), 0
    while seen.cases < cases:
        number += 1
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                send(house, operation, mode, each, number, seen)
    return seen


def check(seen: Seen, cases: int) -> None:
    assert not seen.wrong, "\n\n".join(seen.wrong)
    assert seen.cases >= cases
    reached = {label for label, status in seen.statuses if status < 300}
    missed = {label for label, _ in seen.statuses} - reached
    assert not missed, f"never answered well: {missed}"


def test_what_the_document_allows_and_what_it_does_not(house):
    check(fuzz(house, 400, each=10), 400)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_cases(tmp_path):
    started = time.monotonic()
    with furnished(tmp_path, copies=20) as house:
        seen = fuzz(house, CASES, each=60)
    by_status = Counter({status: seen.count(status) for _, status in seen.statuses})
    print(f"\n{seen.cases} cases in {time.monotonic() - started:.0f} s: {dict(sorted(by_status.items()))}")
    check(seen, CASES)
