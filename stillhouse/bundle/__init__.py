"""What a student promises and what travels with it: prompt, answer, manifest, certificate."""
