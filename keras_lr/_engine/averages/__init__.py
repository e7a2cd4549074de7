"""Averages of a model's weights: kept, shown to evaluation, cloned."""
