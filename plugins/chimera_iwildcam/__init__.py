"""Plugin: iWildCam, photographs of camera traps, through the WILDS package."""
