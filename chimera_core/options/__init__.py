"""Options: their models, the layers they come from, and the flags they become. Torch-free."""
