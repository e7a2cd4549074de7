"""Learning-rate range test: `lr_find`, `LRRangeTest`, and the rules that read its curve."""
