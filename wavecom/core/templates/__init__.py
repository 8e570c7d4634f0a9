"""Templates: what a client's notifications say, kept by name, version, channel and locale (ADR 46).

``variables`` and ``language`` say what a source may use, ``html_places`` where in HTML a value stands, ``compiled``
makes text of both; ``model`` is what is kept, ``administration`` and ``rendering`` are the use cases.
"""
