"""State in Redis that the processes share and may lose: every caller goes on without it, in bounded time."""
