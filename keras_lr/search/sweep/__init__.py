"""`lr_sweep`: short trainings at several learning rates."""
