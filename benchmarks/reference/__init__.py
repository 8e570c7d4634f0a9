"""The yardstick: the same stack as one would put it together in a weekend, following each library's first page."""
