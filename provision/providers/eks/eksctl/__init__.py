"""Backend eksctl: write a ClusterConfig from the cluster file and run the eksctl on PATH with it.

Resources that eksctl created carry its tags. This backend never changes resources without them, and provision's own
backend never changes resources with them.
"""
