"""cog.yaml: found, read with line numbers, checked as a whole, as one frozen value."""
