"""What WaveCom uses of libraries beyond their documentation, one module a library.

A release of the library may change any of it without a word. So each module checks, when a process first needs it, that
what it uses is there and behaves as it was read. Where it does not, the log and a metric say so, and the caller takes
the documented way (``wavecom.internals.fast_paths``). A test over the syntax tree keeps such uses in here
(tests/unit/test_fence.py). How to raise a pinned version: docs/celery.md.

Flower's are in ``wavecom.flower``: there is no documented way to lock it, so that it does not start unlocked.
"""
