"""Runs that outlive the request: durable workflows, and the process that does them."""
