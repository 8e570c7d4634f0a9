"""Where things are kept: ``mongo`` is the truth, ``redis`` is shared memory, ``memory`` the honest twin for tests."""
