"""One module per verb of provider kubeadm."""
