"""What a teacher knows about a sample."""
