"""Writing datasets as files that other tools read, one module per format."""
