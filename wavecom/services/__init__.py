"""The composition root: for each kind of process the services it works with, made from Settings.

The only package that knows every concrete class. One module a kind of process, so that none imports what only another
needs; ``shared`` holds what several make in the same way.
"""
