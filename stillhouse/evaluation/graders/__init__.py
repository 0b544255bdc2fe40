"""Graders: what judges one answer, and says when it cannot."""
