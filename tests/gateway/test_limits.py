"""The limits hold what people reasonably do."""

from __future__ import annotations

from stillhouse.gateway.limits import Limits


def test_a_usual_call_is_far_from_every_limit():
    limits = Limits()
    assert limits.requests >= 100
    assert limits.connections > limits.requests, "who waits for its answer must not keep others from a refusal"
    assert limits.head_bytes >= 16 * 2**10
    assert limits.stall_seconds > limits.head_seconds > 1
