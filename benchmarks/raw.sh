#!/usr/bin/env bash
# The baseline of the budgets: the commands of the public installation guides, over ssh, hosts in parallel where the
# guides allow it. No error handling beyond stopping, nothing repeatable, nothing checked: that is what it is for.
#
# usage: raw.sh CLUSTER_YAML   (a lab's cluster file; run it inside the lab's network namespace)
set -euo pipefail
file=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Shell variables from the cluster file: user, key, packages, images, manifests, version, cp, workers, known_hosts.
"${PYTHON:-python3}" "$here/raw_values.py" "$file" "$work/known_hosts" > "$work/values"
# shellcheck source=/dev/null
. "$work/values"

on() {
  ssh -i "$key" -o UserKnownHostsFile="$work/known_hosts" -o StrictHostKeyChecking=yes -o LogLevel=ERROR \
    -o ControlMaster=auto -o ControlPath="$work/%C" -o ControlPersist=60 "$user@$1" "${@:2}"
}

prepare() {
  on "$1" sudo bash -es <<REMOTE
swapoff -a && sed -i '/\sswap\s/s/^/#/' /etc/fstab
printf 'overlay\nbr_netfilter\nnf_conntrack\n' > /etc/modules-load.d/k8s.conf
modprobe -a overlay br_netfilter nf_conntrack
printf 'net.bridge.bridge-nf-call-iptables=1\nnet.bridge.bridge-nf-call-ip6tables=1\nnet.ipv4.ip_forward=1\n' > /etc/sysctl.d/k8s.conf
sysctl -q --system
mkdir -p /etc/apt/keyrings
curl -fsSL $packages/linux/debian/gpg | gpg --dearmor -o /etc/apt/keyrings/docker.gpg
curl -fsSL $packages/core:/stable:/$minor/deb/Release.key | gpg --dearmor -o /etc/apt/keyrings/kubernetes.gpg
echo "deb [signed-by=/etc/apt/keyrings/docker.gpg] $packages/linux/debian trixie stable" > /etc/apt/sources.list.d/docker.list
echo "deb [signed-by=/etc/apt/keyrings/kubernetes.gpg] $packages/core:/stable:/$minor/deb/ /" > /etc/apt/sources.list.d/kubernetes.list
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y containerd.io kubelet kubeadm kubectl > /dev/null
apt-mark -q hold containerd.io kubelet kubeadm kubectl
for registry in registry.k8s.io quay.io; do
  mkdir -p /etc/containerd/certs.d/\$registry
  printf '[host."%s/v2/%s"]\n  override_path = true\n' $images \$registry > /etc/containerd/certs.d/\$registry/hosts.toml
done
containerd config default | sed "s#SystemdCgroup = false#SystemdCgroup = true#; s#sandbox = .*#sandbox = 'registry.k8s.io/pause:3.10.2'#; s#config_path = ''#config_path = '/etc/containerd/certs.d'#" > /etc/containerd/config.toml
systemctl restart containerd
REMOTE
}

step() { printf '%4d s  %s\n' "$SECONDS" "$1" >&2; }

for host in $cp $workers; do prepare "$host" & pids+=($!); done
for pid in "${pids[@]}"; do wait "$pid"; done
step "prepared"
on "$cp" sudo kubeadm init --kubernetes-version "v$version" --pod-network-cidr 10.244.0.0/16 \
  --apiserver-advertise-address "$cp" --ignore-preflight-errors SystemVerification,NumCPU,Mem > "$work/init.log" 2>&1 \
  || { tail -20 "$work/init.log" >&2; exit 1; }
step "initialised"
on "$cp" "curl -fsSL $manifests/projectcalico/calico/$calico/manifests/calico-vxlan.yaml -o calico.yaml && sudo kubectl --kubeconfig /etc/kubernetes/admin.conf apply --server-side -f calico.yaml" > /dev/null
step "Calico applied"
join=$(on "$cp" sudo kubeadm token create --print-join-command)
pids=()
for host in $workers; do
  on "$host" sudo "$join" --ignore-preflight-errors SystemVerification,NumCPU,Mem > "$work/join-$host.log" 2>&1 & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
step "joined"
kubectl="sudo kubectl --kubeconfig /etc/kubernetes/admin.conf"
on "$cp" "$kubectl wait --for=condition=Ready node --all --timeout=600s \
  && $kubectl -n kube-system rollout status daemonset/calico-node --timeout=600s \
  && $kubectl -n kube-system rollout status deployment/calico-kube-controllers --timeout=600s \
  && $kubectl -n kube-system rollout status deployment/coredns --timeout=600s" > /dev/null
step "everything Ready"
