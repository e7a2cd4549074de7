"""The engine around one training step: hooks, state, overrides, snapshots."""
