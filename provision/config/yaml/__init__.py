"""YAML text to plain data with locations, and the problems found in it."""
