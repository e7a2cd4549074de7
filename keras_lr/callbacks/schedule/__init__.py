"""Callbacks that drive schedules: `LRScheduler`, `CyclicLR`, `OneCycle`."""
