"""EKS: clusters, node groups, add-ons, access and the rest, with the states and errors of the real service."""
