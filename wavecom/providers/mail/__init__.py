"""What a mail is made of, and how it is handed to a mail server."""
