"""HTTP: requests in, answers out; and the process around it."""
