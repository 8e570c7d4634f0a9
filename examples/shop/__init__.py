"""A small shop that tells its customers what becomes of their orders: how an application uses WaveCom."""
