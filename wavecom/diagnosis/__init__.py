"""What ``wavecom doctor`` looks at: reads facts from settings, servers, files and disks, and changes none of them.

``checks.py`` has the list; each other module reads the facts of one subject and leaves what they mean to
``wavecom.core.diagnosis``.
"""
