"""How samples become tensors and which metrics speak."""
