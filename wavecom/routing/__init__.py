"""May I call now, and whom: routes and weights, circuit breaker, rate limit, bulkhead.

``Router`` picks a provider for a job; a ``Gate`` says whether that provider may be called: ``RedisGate`` for a fleet
that shares a Redis, ``LocalGate`` for one process alone. Nothing here calls a provider.
"""
