"""The subcommands of ``wavecom`` for people who run it; ``wavecom.cli`` puts them together."""
