"""Where training material comes from, what it says about the task, and how it is kept apart."""
