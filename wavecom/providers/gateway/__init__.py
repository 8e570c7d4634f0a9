"""What the providers file may say about a gateway of any kind: its requests as templates, and what its answers mean."""
