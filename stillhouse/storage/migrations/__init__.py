"""The steps that bring a database to the newest form, one file each, oldest first; a step is never changed again."""
