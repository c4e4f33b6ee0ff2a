"""Render events and results: live table, plain lines, text, JSON and the journal."""
