"""What the API takes, as marshmallow schemas: a module for each kind of body or query."""
