"""What the library costs: per step, per call and in memory, beside its peers."""
