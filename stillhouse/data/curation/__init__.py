"""What makes raw rows worth learning from, step by step, each counted and none of it final."""
