"""The OpenAI wire, served over HTTP."""
