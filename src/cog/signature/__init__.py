"""From a callable to frozen facts: what a model accepts and returns, written down once. Standard library only."""
