"""Consumes and delivers: messages in from the broker, deliveries in batches, acknowledgements out."""
