"""What makes a cluster: kubeadm on hosts, EKS in an AWS account."""
