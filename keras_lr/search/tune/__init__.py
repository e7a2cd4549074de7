"""`tune_lr`: a learning rate for the whole of a training."""
