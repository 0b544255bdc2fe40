"""The server against its own OpenAPI document: schemathesis sends what the document allows, and what it does not.

`make fuzz` sends 10,000 cases and says what came of them.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from stillhouse.gateway.document import NAMED
from tests.gateway.furnished import Furnished, furnished
from tests.storage.databases import SLOWLY_ON_BOTH


def what_is_forbidden_is_refused(context, response, case) -> bool | None:
    """Of bodies: more in a query is not looked at, what a chat may be asked is the model's to say.

    An upload that is complete is shown again whatever parts are named.
    """
    if (
        case.operation.path in ("/v1/chat/completions", "/v1/uploads/{upload_id}/complete")
        or case.method.upper() == "GET"
    ):
        return None
    return negative_data_rejection(context, response, case)


CHECKS = [
    what_is_forbidden_is_refused,
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CASES = 10_000
BODIES = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"text"',
    b"{",
    b"NaN",
    b"\x00",
    b"\xff\xfe{}",
    b'{"a": 1e999}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"metadata": {"a": "\\ud800"}}',
    b"--x\r\n\r\n",
]
"""What no operation can be asked with."""


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
    """The document with three changes: names are mostly of what is there, answers may say no more than it tells, and
    no key of a call is chosen, because with one that came before the answer says nothing of the call: see `probe`.
    """
    known = told(house)
    schemas = known["components"]["schemas"]
    for name, ids in house.ids.items():
        schemas[name] = {"type": "string", "enum": [*ids, f"{ids[0]}x"]}
    schemas["NewJob"]["properties"]["model"] = {"enum": ["stillhouse/auto", "none"]}
    known["paths"]["/v1/chat/completions"]["post"]["responses"].pop("default")  # the upstream here refuses nothing
    for one in (one for at in known["paths"].values() for one in at.values() if "parameters" in one):
        one["parameters"] = [each for each in one["parameters"] if "$ref" not in each]
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
        headers = {"Authorization": f"Bearer {house.key}"}
        if seen.cases % 2:
            headers["Idempotency-Key"] = f"{number}-{seen.cases}"  # each call is a new one
        try:
            response = case.call(base_url=house.url, headers=headers, session=session, timeout=60)
        except requests.RequestException as error:
            seen.wrong.append(f"{operation.label}: {error} {case.as_curl_command()[:600]}")
            return
        seen.statuses[operation.label, response.status_code] += 1
        trouble: list[str] = []
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:
            trouble = [str(each) for each in error.exceptions]
        if response.status_code >= 400 and not has_envelope(response):
            trouble.append(f"no envelope: {response.status_code} {response.content[:200]!r}")
        if trouble and len(seen.wrong) < 40:
            seen.wrong.append(f"{operation.label}: {trouble} {case.as_curl_command()[:600]}")

    with requests.Session() as session, suppress(Unsatisfiable):  # what has no parameters cannot be asked wrongly
        probe()


def fuzz(house: Furnished, number: int, each: int, seen: Seen) -> None:
    """Send `each` right and `each` wrong cases of every operation, last those that end or delete something."""
    schema = schemathesis.openapi.from_dict(document(house))
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda one: (one.method.upper() == "DELETE", one.path.endswith("/cancel"), -len(one.path)))
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            send(house, operation, mode, each, number, seen)


def check(seen: Seen, cases: int) -> None:
    assert not seen.wrong, "\n\n".join(seen.wrong)
    assert seen.cases >= cases


@SLOWLY_ON_BOTH
def test_what_the_document_allows_and_what_it_does_not(tmp_path, own_database):
    seen = Seen()
    with furnished(tmp_path, 2, own_database) as house:
        fuzz(house, 1, 2, seen)
    check(seen, 150)


@SLOWLY_ON_BOTH
def test_bodies_that_are_none(tmp_path, own_database):
    """Every operation that takes a body refuses what is no such body, in OpenAI's words."""
    with furnished(tmp_path, 2, own_database) as house, requests.Session() as session:
        for path, at in told(house)["paths"].items():
            for method, one in at.items():
                if "requestBody" not in one:
                    continue
                address = re.sub(r"{(\w+)}", lambda found: house.ids[NAMED[found[1]]][0], path)
                for body in BODIES:
                    for kind in ("application/json", "text/plain", "multipart/form-data", ""):
                        headers = {"Authorization": f"Bearer {house.key}", "Content-Type": kind}
                        answer = session.request(method, house.url + address, headers=headers, data=body, timeout=30)
                        assert answer.status_code == 400 or is_taken(method, path, body), (path, body, answer.text)
                        assert answer.status_code < 400 or has_envelope(answer)


def is_taken(method: str, path: str, body: bytes) -> bool:
    """Whether an empty object is all that an operation asks for."""
    return path == "/v1/evals/{eval_id}" and body.startswith(b"{") and body.endswith(b"}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_cases(tmp_path):
    seen, started, rounds = Seen(), time.monotonic(), 0
    while seen.cases < CASES:
        rounds += 1
        with furnished(tmp_path / str(rounds), copies=2) as house:
            fuzz(house, rounds, 25, seen)
        print(f"{seen.cases} cases in {time.monotonic() - started:.0f} s, {len(seen.wrong)} wrong", flush=True)
    by_status = Counter({status: seen.count(status) for _, status in seen.statuses})
    print(f"\n{seen.cases} cases in {time.monotonic() - started:.0f} s: {dict(sorted(by_status.items()))}")
    check(seen, CASES)
    missed = {label for label, _ in seen.statuses} - {label for label, status in seen.statuses if status < 300}
    assert not missed, f"never answered well: {missed}"
