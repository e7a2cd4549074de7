"""Models, fits and searches that several tests use."""
