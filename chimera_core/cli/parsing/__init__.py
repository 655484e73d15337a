"""From words on the command line to values: commands whose options depend on components and files."""
