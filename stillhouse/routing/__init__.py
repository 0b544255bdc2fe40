"""Student or teacher, per call."""
