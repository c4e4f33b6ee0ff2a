"""Reads of AWS, each turned into the facts of `provision.providers.eks.facts`. They raise what boto3 raises."""
