"""Is the student good: agreement with its teacher, how sure we are, and what it may keep."""
