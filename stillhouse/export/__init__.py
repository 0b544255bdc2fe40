"""The student leaves home."""
