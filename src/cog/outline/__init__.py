"""What a model's source says of its inputs, read without running it."""
