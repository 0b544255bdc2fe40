"""Making training material with a teacher."""
