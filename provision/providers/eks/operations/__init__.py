"""The operations of provider eks: what the verbs of the command line do with an AWS account."""
