"""Where the model runs: one small protocol, and local processes that fulfil it."""
