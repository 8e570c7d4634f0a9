"""Redis: what the processes share that may be lost. Every caller goes on without it, in bounded time."""
