"""Thin Celery tasks: an id in, one call, out. Rules are in ``wavecom.core``, wiring in ``wavecom.services``."""
