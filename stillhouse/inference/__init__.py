"""The student speaks."""
