"""Pictures of animals by name: the user's own, those that lie on the machine, those fetched on request. Torch-free."""
