"""How fast this server is beside others: `python -m benchmarks`."""
