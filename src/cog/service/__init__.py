"""What happens between a request and the model: intake, places, the registry of ids, health, shutdown."""
