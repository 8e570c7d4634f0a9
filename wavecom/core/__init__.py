"""The rules of delivery, pure: nothing here does I/O, reads a clock or rolls dice (import-linter holds it so)."""
