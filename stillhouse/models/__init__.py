"""Models and tokenizers, without opinions about training."""
