"""What is observed of hosts and of the cluster, and how it is gathered."""
