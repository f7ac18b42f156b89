"""Listeners of a prediction: readers of its event stream, webhooks."""
