"""What is kept of ended predictions."""
