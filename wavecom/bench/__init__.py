"""The benchmark: real processes on real servers, an open-loop load in front, a recording provider behind.

``wavecom bench`` runs it on a user's own machine or servers, ``make bench`` runs it on the plain reference application
too and writes docs/reports/performance.md.
"""
