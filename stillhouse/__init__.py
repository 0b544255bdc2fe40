"""Stillhouse turns the traffic sent to a large model into a small model you own."""

__version__ = "0.1.0"
