"""Weights & Biases and Trackio, each behind the same few methods."""
