"""EKS: clusters, node groups, add-ons, access and the rest, with the states and refusals of the real one."""
