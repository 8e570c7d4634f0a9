"""What the APIs of Amazon Web Services have in common: signed requests, and signed messages of SNS."""
