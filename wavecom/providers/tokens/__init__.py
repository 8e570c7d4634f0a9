"""Tokens by which push services know us: signed here, or got from the provider and kept fresh for all calls."""
