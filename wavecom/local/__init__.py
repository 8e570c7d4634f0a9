"""WaveCom on one machine: private servers on loopback and the launcher that runs everything beside them."""
