"""``python -m chimera_core.cli``."""

from chimera_core.cli import main

main()
