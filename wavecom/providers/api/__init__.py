"""What providers with an HTTP API of their own have in common, so that each file holds what is its own alone."""
