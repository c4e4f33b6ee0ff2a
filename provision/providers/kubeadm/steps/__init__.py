"""The catalogue of steps and what plans each of them. Pure."""
