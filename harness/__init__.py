"""What measures WaveCom: real processes on real servers, an open-loop load in front, a recording provider behind.

``python -m benchmarks`` runs it, on private servers or on a user's own. The fault drill (tests/faults) uses it too.
"""
