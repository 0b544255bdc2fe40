"""Reading datasets from files that other tools wrote, one module per format."""
