"""The OpenAI JSON, both directions: requests read into our words, our words written as responses."""
