"""Provider eks: an AWS account becomes an EKS cluster. The resources' tags are the state; nothing is kept elsewhere."""
