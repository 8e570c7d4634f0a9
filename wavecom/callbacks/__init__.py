"""How clients' endpoints are called, and how the secrets are kept that their events are signed with."""
