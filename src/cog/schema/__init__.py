"""From what is known of a model to its OpenAPI document and to the check of its requests."""
