"""Personal data in texts: how each kind looks, and what makes one valid."""
