"""The whole life of a cluster on real machines, while a web service and the API are asked four times a second.

1+1, an endpoint, two workers more at once, three control planes, the machine of the first one lost for good and
replaced by another, a worker removed, another control plane lost and taken out, everything reset. One lab serves the
module; the tests build on each other in the order they stand in.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import yaml

from provision.lab import machines

from .asking import Client, asking, asking_the_api
from .control_planes import ENDPOINT, is_named_everywhere, no_credentials_of_joins_are_left
from .host_state import are_nodes_no_more
from .rig import KUBECTL, LOGINS, SEEN_LIMIT, Rig, lab, wait_for, without, without_endpoint

pytestmark = [pytest.mark.lab, pytest.mark.life]

LAB = "test-life"
PORT = 30080
AWAY = 120  # requests to the API that may fail while etcd gets a member or a control plane is lost: 30 s
SPARE = "w4"  # the machine that becomes cp1
# Two pods on different nodes that let their clients go before they end, and never both of them leave at once.
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [w2, w3]}}]
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm: {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: web}}}}}}
      containers:
        - name: web
          image: registry.k8s.io/e2e-test-images/agnhost:2.63.0
          args: [netexec, --http-port=8080]
          readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 2}}
          lifecycle: {{preStop: {{sleep: {{seconds: 8}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080, nodePort: {PORT}}}]
"""


@dataclass
class LifeRig(Rig):
    """`hosts`: all machines as the lab's file has them, by name. `text`: the file with cp1, w1 and the endpoint."""

    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    text: str = ""
    web: Client | None = None
    api: Client | None = None

    def place(self, machine: str) -> str:
        return f"lab@{self.hosts[machine]['address']}"

    def key(self, machine: str) -> str:
        return self.hosts[machine]["host_key"]

    def unanswered(self, since: float) -> tuple[list[str], list[str]]:
        """Requests to the web service and to the API that failed since then."""
        assert self.web is not None
        assert self.api is not None
        return self.web.failures(since), self.api.failures(since)

    def ready(self) -> int:
        return self.kubectl("get", "nodes", "--no-headers").count(" Ready ")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LifeRig]:
    """A cluster of cp1 and w1 without an endpoint, and machines for more."""
    rig = LifeRig(LAB, tmp_path_factory.mktemp("life"))
    with lab(rig, "--control-planes", "3", "--workers", "4", "--memory", "2048"):
        text = rig.file.read_text()
        rig.hosts = {host["name"]: host for host in yaml.safe_load(text)["hosts"]}
        rig.text = without(text, "cp2", "cp3", "w2", "w3", SPARE)
        rig.file.write_text(without_endpoint(rig.text))
        done = rig.provision("apply", "--yes", "--no-smoke")
        assert done.returncode == 0, done.stderr
        yield rig


@pytest.fixture(scope="module")
def asked(rig: LifeRig) -> Iterator[LifeRig]:
    """The API is asked at the endpoint."""
    with asking_the_api(rig) as rig.api:
        yield rig


@pytest.fixture(scope="module")
def served(asked: LifeRig) -> Iterator[LifeRig]:
    """The web service runs on w2 and w3, and is asked at w1, which stays."""
    manifest = asked.directory / "web.yaml"
    manifest.write_text(WEB)
    asked.kubectl("apply", "--filename", str(manifest))
    ready = "jsonpath={.status.readyReplicas}"
    wait_for("both pods", lambda: asked.kubectl("get", "deployment", "web", "-o", ready) == "2", SEEN_LIMIT)
    with asking(asked, "web", f"http://{asked.hosts['w1']['address']}:{PORT}/hostname") as asked.web:
        yield asked


def test_a_cluster_without_an_endpoint_gets_one(rig: LifeRig) -> None:
    before = rig.on("cp1", f"{KUBECTL} -n kube-system get cm kubeadm-config -o yaml")
    rig.file.write_text(rig.text)

    done = rig.provision("apply", "--yes", "--no-smoke")

    assert "controlPlaneEndpoint" not in before
    assert done.returncode == 0, done.stdout + done.stderr
    assert ENDPOINT in rig.kubeconfig.read_text()
    assert rig.ready() == 2


def test_two_workers_join_at_once_and_no_other_node_is_contacted(asked: LifeRig) -> None:
    began, logins, text = time.time(), asked.on("w1", LOGINS), asked.file.read_text()
    keys = [word for name in ("w2", "w3") for word in ("--host-key", f"{name}={asked.key(name)}")]
    pairs = ("w2", asked.place("w2"), "w3", asked.place("w3"))

    done = asked.provision("node", "add", *pairs, *keys, "--label", "disk=ssd", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke test passed" in done.stdout
    assert asked.ready() == 4
    assert int(asked.on("w1", LOGINS)) == int(logins) + 1, "our own question is the only login"
    assert asked.kubectl("get", "nodes", "-l", "disk=ssd", "-o", "name").split() == ["node/w2", "node/w3"]
    assert all(line in asked.file.read_text().splitlines() for line in text.splitlines())
    assert "bootstrap-token" not in asked.kubectl("-n", "kube-system", "get", "secrets", "-o", "name")
    assert asked.api is not None
    assert asked.api.failures(began) == []


def test_one_control_plane_becomes_three(served: LifeRig) -> None:
    began = time.time()
    keys = [word for name in ("cp2", "cp3") for word in ("--host-key", f"{name}={served.key(name)}")]
    pairs = ("cp2", served.place("cp2"), "cp3", served.place("cp3"))

    done = served.provision("node", "add", *pairs, *keys, "--role", "control-plane", "--yes", "--no-smoke")

    assert done.returncode == 0, done.stdout + done.stderr
    assert served.ready() == 6
    assert served.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    web, api = served.unanswered(began)
    assert web == []
    assert len(api) <= AWAY, api


def test_everything_names_the_endpoint(served: LifeRig) -> None:
    is_named_everywhere(served, ENDPOINT, ("cp1", "cp2", "cp3"))
    assert f"server: https://{ENDPOINT}" in served.on("w1", "sudo cat /etc/kubernetes/kubelet.conf")


def test_no_credentials_of_the_joins_are_left(served: LifeRig) -> None:
    no_credentials_of_joins_are_left(served)


def test_etcd_was_saved_before_each_member_where_only_root_can_read_it(served: LifeRig) -> None:
    look = """sudo sh -c 'stat -c "%a %U %n" /var/lib/provision/etcd /var/lib/provision/etcd/*'"""

    listed = served.on("cp1", look)

    assert "700 root /var/lib/provision/etcd" in listed
    assert len(re.findall(r"^600 root .*/snapshot-\S+\.db$", listed, re.MULTILINE)) == 2


def test_the_first_ones_machine_is_lost_for_good_and_another_takes_its_place(served: LifeRig) -> None:
    began = time.time()
    words = (
        "node",
        "replace",
        "cp1",
        served.place(SPARE),
        "--host-key",
        served.key(SPARE),
        "--yes",
        "--no-smoke",
    )
    refused = served.provision(*words)
    machines.power_off(LAB, "cp1")
    wait_for("cp1 is not Ready", lambda: "NotReady" in served.kubectl("get", "node", "cp1"), SEEN_LIMIT)

    done = served.provision(*words)

    assert refused.returncode == 4
    assert "its old machine runs" in refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    nodes = served.kubectl("get", "nodes", "--no-headers", "-o", "wide")
    assert nodes.count(" Ready ") == 6
    assert served.hosts[SPARE]["address"] in nodes
    assert served.hosts["cp1"]["address"] not in nodes
    assert served.etcd() == {"cp1": True, "cp2": True, "cp3": True}
    # The lost one spoke for the cluster until then; another did this.
    assert "snapshot-" in served.on("cp2", "sudo ls /var/lib/provision/etcd")
    web, api = served.unanswered(began)
    assert web == []
    assert len(api) <= AWAY, api


def test_a_worker_leaves_and_the_service_answers_all_the_time(served: LifeRig) -> None:
    began = time.time()

    done = served.provision("node", "remove", "w3", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "w3" not in served.kubectl("get", "nodes", "--no-headers")
    assert served.unanswered(began) == ([], [])


def test_then_nothing_is_left_to_do(served: LifeRig) -> None:
    done = served.provision("apply", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to do" in done.stdout


def test_a_lost_control_plane_leaves_without_its_machine(served: LifeRig) -> None:
    machines.power_off(LAB, "cp3")

    refused = served.provision("node", "remove", "cp3", "--yes")
    done = served.provision("node", "remove", "cp3", "--force", "--yes")

    assert refused.returncode == 5
    assert "add --force" in refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.etcd() == {"cp1": True, "cp2": True}
    assert "cp3" not in served.kubectl("get", "nodes")
    assert "name: cp3" not in served.file.read_text()


def test_of_two_none_leaves_while_the_other_is_lost(served: LifeRig) -> None:
    machines.power_off(LAB, "cp2")

    done = served.provision("node", "remove", "cp2", "--force", "--yes")

    assert done.returncode == 5
    assert "its etcd reaches no majority" in done.stderr
    machines.power_on(LAB, "cp2")
    machines.wait_until_reachable(LAB, ["cp2"])
    wait_for("cp2 is back", lambda: served.etcd() == {"cp1": True, "cp2": True}, SEEN_LIMIT)


def test_everything_is_reset(rig: LifeRig) -> None:
    done = rig.provision("reset", "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    are_nodes_no_more(rig, ("cp2", "w1", "w2", "w3", SPARE))
    assert not rig.kubeconfig.exists()
