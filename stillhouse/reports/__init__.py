"""What happened, for people: the report, the model card and the text of `inspect`."""
