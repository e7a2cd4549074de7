"""`tune_adam`: `lr` and `decay` of Adam, found by whole trainings."""
