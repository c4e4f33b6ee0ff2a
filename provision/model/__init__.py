"""Frozen data without I/O: what a file asks for, what is planned, how a cluster is."""
