"""Provider kubeadm: plain Linux hosts become a cluster."""
