"""Teachers behind APIs, asked through the unmodified SDK by the names that `stillhouse.toml` gives them."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import openai
import pytest

from benchmarks.upstream import Upstream
from stillhouse.data.formats import parse_row
from stillhouse.errors import UsageError
from stillhouse.gateway.app import create_app
from stillhouse.gateway.furnish import furnish
from stillhouse.gateway.shelf import Policy, Shelf
from stillhouse.recipes.server import ServerFile, TeacherSection
from tests.gateway.serving import LABELS, Keywords, prompt, served
from tests.storage.databases import kept_bytes

KEY = "sk-upstream-canary-0123456789"
ASKED = [{"role": "user", "content": "Hé?"}]
ROUTE = "x-stillhouse-route"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream(remembers=True)


@contextmanager
def gateway(upstream: Upstream, shelf: Shelf, **options) -> Iterator[str]:
    """The URL of a gateway before an upstream that it knows under two names, and under any."""
    with served(upstream) as url:
        models = {"large": "gpt-large", "org/same": "org/same"}
        section = {"base_url": f"{url}/v1", "key_env": "UPSTREAM_KEY", "timeout": 5, **options}
        teachers = {"named": TeacherSection(models=models, **section), "open": TeacherSection(**section)}
        house = furnish(ServerFile(teachers=teachers, teacher="large"), [Keywords()])
        with served(create_app(house, shelf)) as url:
            yield url


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("UPSTREAM_KEY", KEY)


@pytest.fixture
def bare(tmp_path) -> Shelf:
    """A shelf on which nothing is put, so that any will do."""
    return Shelf(None, tmp_path / "home")


@pytest.fixture
def shelf(database, tmp_path_factory) -> Shelf:
    """A shelf on a database of each kind."""
    return Shelf(database, tmp_path_factory.mktemp("home"))


@pytest.fixture
def url(upstream, bare):
    with gateway(upstream, bare) as url:
        yield url


def test_models_are_listed_and_found_by_names_with_slashes(url, client):
    sdk = client(url)
    cards = {card.id: card for card in sdk.models.list()}
    assert set(cards) == {"large", "org/same", "desk/triage", "open/org/one", "open/two"}
    assert (cards["large"].owned_by, cards["desk/triage"].owned_by) == ("named", "stillhouse")
    assert cards["open/two"].owned_by == "open"
    assert abs(cards["large"].created - time.time()) < 600
    for name in ("org/same", "open/org/any:free"):
        assert sdk.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("open/")


def test_a_call_goes_on_as_it_came_with_the_model_s_own_name(url, client, upstream):
    raw = client(url).chat.completions.with_raw_response.create(
        model="large", messages=ASKED, temperature=0.5, extra_body={"made_up": {"deep": [1.0, None]}}
    )
    assert raw.headers[ROUTE] == "teacher"
    assert raw.parse().model == "gpt-large-2026-01-01"
    [asked] = upstream.asked
    assert asked == {
        "messages": ASKED, "model": "gpt-large", "temperature": 0.5, "made_up": {"deep": [1.0, None]}
    }  # fmt: skip
    assert upstream.headers[0]["authorization"] == f"Bearer {KEY}"


def test_a_call_that_needs_no_change_goes_on_byte_for_byte(url, upstream):
    body = b'{ "model": "org/same",\n "messages": [{"role": "user", "content": "\\u00e9"}], "temperature": 1.50 }'
    urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body)).read()
    assert upstream.bodies == [body]


def test_any_model_of_a_teacher_without_names_can_be_asked_for(url, client, upstream):
    client(url).chat.completions.create(model="open/org/any:free", messages=ASKED)
    assert upstream.asked[0]["model"] == "org/any:free"
    text = urllib.request.urlopen(f"{url}/metrics").read().decode()
    assert 'model="open/*"' in text
    assert "any:free" not in text, "callers must not fill the metrics with names they make up"


def test_a_student_s_doubtful_calls_go_to_the_named_teacher(url, client, upstream):
    raw = client(url).chat.completions.with_raw_response.create(model="desk/triage", messages=prompt("maybe"))
    assert raw.headers[ROUTE].startswith("teacher; reason=low-confidence")
    assert upstream.asked[0]["model"] == "gpt-large"


@pytest.fixture
def priced(upstream, shelf):
    with gateway(upstream, shelf, price_in=2.0, price_out=10.0) as url:
        yield url


def test_what_a_call_cost_is_kept_and_counted(priced, client):
    sdk = client(priced)
    answer = sdk.chat.completions.create(model="large", messages=ASKED, store=True)
    sdk.chat.completions.create(model="large", messages=ASKED)
    cost = (answer.usage.prompt_tokens * 2 + answer.usage.completion_tokens * 10) / 1e6
    ours = sdk.chat.completions.retrieve(answer.id).model_extra["x_stillhouse"]
    assert ours["cost"] == pytest.approx(cost)
    assert ours["route"] == "teacher"
    assert ours["latency_ms"] > 0
    text = urllib.request.urlopen(f"{priced}/metrics").read().decode()
    [line] = [line for line in text.splitlines() if line.startswith("stillhouse_cost_total{")]
    assert float(line.split()[-1]) == pytest.approx(2 * cost)
    assert 'stillhouse_tokens_total{kind="written",model="large",route="teacher"} 32.0' in text


def test_a_kept_stream_has_its_tokens_and_cost_and_shows_none_to_whoever_wants_none(priced, client, upstream):
    sdk = client(priced)
    create = sdk.chat.completions.create
    chunks = list(create(model="large", messages=ASKED, stream=True, store=True))
    assert all(chunk.choices for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    kept = sdk.chat.completions.retrieve(chunks[0].id)
    assert kept.usage.completion_tokens == 16
    assert kept.model_extra["x_stillhouse"]["cost"] > 0
    assert upstream.asked[0]["stream_options"] == {"include_usage": True}
    wanted = list(
        create(model="large", messages=ASKED, stream=True, store=True, stream_options={"include_usage": True})
    )
    assert wanted[-1].usage.completion_tokens == 16
    list(create(model="large", messages=ASKED, stream=True))
    assert "stream_options" not in upstream.asked[2], "a call that is not kept is asked for nothing more"


@pytest.mark.parametrize(("status", "seen", "kind", "code"), [
    (429, 429, openai.RateLimitError, "server_error"),
    (503, 503, openai.InternalServerError, "server_error"),
    (500, 502, openai.InternalServerError, "teacher_unavailable"),
    (404, 404, openai.NotFoundError, "server_error"),
    (418, 418, openai.APIStatusError, "server_error"),
])  # fmt: skip
def test_an_error_keeps_its_status_its_words_and_the_time_to_wait(upstream, bare, client, status, seen, kind, code):
    upstream.failing, upstream.status, upstream.retry_after = 1.0, status, "7"
    with gateway(upstream, bare, retries=0) as url, pytest.raises(kind) as caught:
        client(url).chat.completions.create(model="large", messages=ASKED)
    assert (caught.value.status_code, caught.value.code) == (seen, code)
    assert caught.value.response.headers["retry-after"] == "7"
    assert KEY not in str(caught.value.body)


def test_trouble_that_passes_is_not_seen(upstream, bare, client):
    upstream.failing, upstream.retry_after = 0.3, "0"
    with gateway(upstream, bare, retries=12, timeout=120) as url:
        sdk = client(url)
        for _ in range(5):
            assert sdk.chat.completions.create(model="large", messages=ASKED).choices[0].finish_reason == "stop"
    assert len(upstream.asked) >= 5


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_leaves_is_not_worked_for(upstream, bare, stream):
    upstream.latency, upstream.gap = (0.0, 0.5) if stream else (30.0, 0.0)
    with gateway(upstream, bare) as url:
        body = json.dumps({"model": "large", "messages": ASKED, "stream": stream}).encode()
        request = urllib.request.Request(f"{url}/v1/chat/completions", body)
        if stream:
            urllib.request.urlopen(request).close()
        else:
            with pytest.raises(TimeoutError):
                urllib.request.urlopen(request, timeout=0.3)
        deadline = time.monotonic() + 3
        while not upstream.left and time.monotonic() < deadline:
            time.sleep(0.02)
        assert upstream.left == 1
        text = urllib.request.urlopen(f"{url}/metrics").read().decode()
        assert "stillhouse_requests_in_flight 1.0" in text
        assert stream or 'status="499"' in text


def test_events_arrive_one_by_one_and_unchanged(upstream, bare):
    upstream.gap = 0.05
    with gateway(upstream, bare) as url, served(upstream) as direct:
        body = json.dumps({"model": "org/same", "messages": ASKED, "stream": True, "max_tokens": 5}).encode()
        times = []
        with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/chat/completions", body)) as response:
            lines = []
            for line in response:
                lines.append(line)
                times.append(time.monotonic())
        with urllib.request.urlopen(urllib.request.Request(f"{direct}/v1/chat/completions", body)) as response:
            assert lines == list(response)
    assert times[-1] - times[0] > 0.15, "they were not held back"


# Log-probabilities that nobody asked for.


def harvested(sdk, answer_id: str) -> list:
    """The log-probabilities that were kept with a call."""
    found = sdk.chat.completions.retrieve(answer_id)
    return found.choices[0].logprobs.content if found.choices[0].logprobs else []


@pytest.mark.parametrize("stream", [False, True])
def test_they_are_kept_and_not_handed_on(upstream, shelf, client, stream):
    with gateway(upstream, shelf, harvest_logprobs=True) as url:
        sdk = client(url)
        options = {"model": "large", "messages": ASKED, "max_tokens": 3, "store": True, "stream": stream}
        answer = sdk.chat.completions.create(**options)
        told = list(answer) if stream else [answer]
        assert all(choice.logprobs is None for part in told for choice in part.choices)
        content = harvested(sdk, told[0].id)
        assert [token.token for token in content] == ["word0 ", "word1 ", "word2 "]
        assert {len(token.top_logprobs) for token in content} == {20}
        row = sdk.chat.completions.with_raw_response.retrieve(told[0].id).http_response.json()
    assert (upstream.asked[0]["logprobs"], upstream.asked[0]["top_logprobs"]) == (True, 20)
    parsed = parse_row(json.dumps({**row, "messages": ASKED}).encode(), "stored.jsonl", 1)
    assert [len(token.top) for token in parsed.soft] == [20] * 3, "what is learnt from has soft labels"


def test_who_wants_some_gets_those(upstream, shelf, client):
    with gateway(upstream, shelf, harvest_logprobs=10) as url:
        sdk = client(url)
        create = sdk.chat.completions.create
        options = {"model": "large", "messages": ASKED, "store": True, "logprobs": True, "top_logprobs": 2}
        answer = create(**options)
        assert {len(token.top_logprobs) for token in answer.choices[0].logprobs.content} == {2}
        assert {len(token.top_logprobs) for token in harvested(sdk, answer.id)} == {10}


def test_a_call_that_is_not_kept_is_asked_for_nothing_more(upstream, bare, client):
    with gateway(upstream, bare, harvest_logprobs=True) as url:
        client(url).chat.completions.create(model="large", messages=ASKED)
    assert "logprobs" not in upstream.asked[0]


def test_a_model_that_gives_none_is_asked_once_more_without_and_then_left_alone(upstream, shelf, client):
    upstream.gives_logprobs = False
    with gateway(upstream, shelf, harvest_logprobs=True) as url:
        sdk = client(url)
        for _ in range(2):
            answer = sdk.chat.completions.create(model="large", messages=ASKED, store=True)
            assert harvested(sdk, answer.id) == []
        assert ["logprobs" in asked for asked in upstream.asked] == [True, False, False]


# What is kept of words.


def test_numbers_without_words(upstream, own_database, tmp_path, client):
    shelf = Shelf(own_database, tmp_path, policy=Policy(every=True, content=False))
    with gateway(upstream, shelf, harvest_logprobs=True) as url:
        sdk = client(url)
        create = sdk.chat.completions.create
        create(model="large", messages=[{"role": "user", "content": "a secret of Ann"}], user="mrs-jones", seed=7)
        list(create(model="large", messages=ASKED, stream=True, stream_options={"include_usage": True}))
        rows = list(sdk.chat.completions.list())
        assert list(sdk.chat.completions.messages.list(rows[0].id)) == []
    assert [row.usage.completion_tokens for row in rows] == [16, 16]
    assert [row.choices[0].message.content for row in rows] == [None, None]
    assert [row.choices[0].finish_reason for row in rows] == ["stop", "stop"]
    assert rows[1].model_extra["seed"] == 7
    raw = kept_bytes(own_database, tmp_path)
    assert b"chatcmpl-" in raw
    for word in (b"secret of Ann", b"mrs-jones", b"word1", b"H\xc3\xa9"):
        assert word not in raw, word
    assert "logprobs" not in upstream.asked[0]


def test_words_are_changed_before_they_are_kept(upstream, database, tmp_path, client):
    policy = Policy(redact=lambda text: text.replace("Ann", "[name]").replace("word1", "[word]"))
    with gateway(upstream, Shelf(database, tmp_path, policy=policy)) as url:
        sdk = client(url)
        asked = [{"role": "user", "content": "I am Ann"}]
        answer = sdk.chat.completions.create(model="large", messages=asked, max_tokens=2, store=True)
        assert answer.choices[0].message.content == "word0 word1 ", "whoever asks gets the words"
        assert upstream.asked[0]["messages"] == asked
        assert sdk.chat.completions.retrieve(answer.id).choices[0].message.content == "word0 [word] "
        raw = sdk.chat.completions.messages.with_raw_response.list(answer.id).http_response.json()
        assert raw["data"][0]["content"] == "I am [name]"


# What cannot be served.


def test_a_key_that_is_not_there_is_missed_at_the_start(monkeypatch):
    monkeypatch.delenv("UPSTREAM_KEY")
    with pytest.raises(UsageError, match="UPSTREAM_KEY"):
        furnish(ServerFile(teachers={"a": TeacherSection(base_url="http://h", key_env="UPSTREAM_KEY")}), [])


@pytest.mark.parametrize("name", ["larg", "elsewhere/large"])
def test_a_teacher_that_is_none_is_named(name):
    teachers = {"a": TeacherSection(base_url="http://h", models={"large": "x"})}
    with pytest.raises(UsageError, match=r"no model of a teacher.*large"):
        furnish(ServerFile(teachers=teachers, teacher=name), [])


def test_a_name_is_given_once():
    teachers = {"a": TeacherSection(base_url="http://h", models={"plain": "x"})}
    with pytest.raises(UsageError, match="'plain'"):
        furnish(ServerFile(teachers=teachers), [Keywords(LABELS)])


# Models on this machine.


def test_a_model_on_this_machine_answers_beside_the_others(tmp_path, client):
    from tests.inference import speakers  # it brings torch

    folder = speakers.folder(tmp_path / "tiny")
    house = furnish(ServerFile(models={"tiny": str(folder)}), [Keywords(LABELS)])
    with served(create_app(house, Shelf(None, tmp_path / "home"))) as url:
        sdk = client(url)
        assert [card.id for card in sdk.models.list()] == ["tiny", "plain"]
        raw = sdk.chat.completions.with_raw_response.create(model="tiny", messages=ASKED, max_tokens=3, store=True)
        answer = raw.parse()
        assert raw.headers[ROUTE] == "local"
        assert answer.usage.completion_tokens == 3
        assert sdk.chat.completions.retrieve(answer.id).model == "tiny"
        text = urllib.request.urlopen(f"{url}/metrics").read().decode()
        assert 'stillhouse_batch_size_count{model="tiny"} 1.0' in text
