"""What the student is asked to match."""
