"""What push services want of a message: its content in their words, encryption, and which addresses may be called."""
