"""Option 1, the compromise: searches that look for a fixed learning rate and leave no trace."""
