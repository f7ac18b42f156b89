"""What an operator sees of the server: logs, metrics, tracing."""
