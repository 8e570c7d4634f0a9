"""MongoDB: one module per collection, ``indexes`` for all of their indexes, ``client`` for the connection."""
