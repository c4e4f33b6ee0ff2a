"""Backend eksctl: writes a ClusterConfig from the cluster file and has the eksctl on PATH work by it.

What eksctl made carries its tags; what lacks them is never touched, and provision's own backend leaves what carries
them alone.
"""
