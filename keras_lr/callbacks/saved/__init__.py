"""State that callbacks save and resume from."""
