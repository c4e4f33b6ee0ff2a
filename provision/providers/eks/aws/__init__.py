"""What every part of the provider calls AWS and the cluster's API server with."""
