"""Smaller without learning."""
