"""RabbitMQ: names of exchanges and queues, and the one way to publish."""
