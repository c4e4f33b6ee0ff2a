from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from provision.model.plan import Reason
from provision.providers.kubeadm.steps import role_vars
from provision.providers.kubeadm.steps.planning import apply_plan
from provision.versions import versions

from . import factories

if TYPE_CHECKING:
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookPlan

Golden = Callable[[str, str], None]


def as_text(steps: PlaybookPlan) -> str:
    """A plan as a reviewer reads it: first what and why, then every variable."""
    if not steps:
        return "nothing to do\n"
    lines = []
    for step in steps:
        lines.append(f"{step.name}: {step.summary}")
        lines.append(f"  hosts: {', '.join(step.hosts)}")
        lines += [f"  needs: {', '.join(step.needs)}"] if step.needs else []
        lines += [f"  - {reason.host}: {reason.what}" for reason in step.reasons]
    lines.append("")
    for step in steps:
        for host, variables in (
            ("", {**step.variables, **step.node_variables}),
            *step.host_variables.items(),
        ):
            lines += [f"{step.name} {host}".rstrip(), json.dumps(variables, indent=2)] if variables else []
    return "\n".join(lines) + "\n"


def steps_of(
    cluster: Cluster, documents: dict[str, factories.Document], *, smoke: bool = True
) -> PlaybookPlan:
    return apply_plan(cluster, factories.observation(documents), smoke=smoke)


def names(steps: PlaybookPlan) -> list[str]:
    return [step.name for step in steps]


def test_fresh_hosts_get_everything(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    golden(
        "plans/fresh-1-1.txt", as_text(steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts}))
    )


def test_fresh_hosts_get_docker_if_the_file_asks_for_it(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w", runtime="docker", mirror={"images": "http://mirror:5000"})
    golden(
        "plans/fresh-docker.txt",
        as_text(steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})),
    )


def test_three_control_planes_join_behind_their_endpoint(golden: Golden) -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")
    golden(
        "plans/fresh-3-1.txt", as_text(steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts}))
    )


def test_a_healthy_cluster_needs_nothing(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    golden("plans/nothing-to-do.txt", as_text(steps_of(cluster, factories.running(cluster))))


def test_a_new_worker_touches_itself_and_one_control_plane(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = factories.running(cluster)
    documents["w2"] = factories.fresh(cluster.host("w2"))
    documents["cp1"]["api"] = factories.api(*cluster.hosts[:2])

    steps = steps_of(cluster, documents)

    assert {host for step in steps for host in step.hosts} == {"cp1", "w2"}
    golden("plans/new-worker.txt", as_text(steps))


def test_a_changed_runtime_configuration_is_put_right(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    drifted = {"containerd": {"systemd_cgroup": False}, "services": {"containerd": {"active": False}}}
    documents["w1"] = factories.merged(documents["w1"], {"software": drifted})
    golden("plans/runtime-drift.txt", as_text(steps_of(cluster, documents)))


def test_after_init_alone_network_and_join_are_left(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = {"cp1": factories.member(cluster.hosts[0]), "w1": factories.prepared(cluster.hosts[1])}
    answer = factories.api(cluster.hosts[0], network=False)
    answer["nodes"][0].update(ready=False, message="cni plugin not initialized")
    answer["deployments"]["coredns"]["ready"] = 0
    documents["cp1"]["api"] = answer
    golden("plans/interrupted-after-init.txt", as_text(steps_of(cluster, documents)))


def test_an_init_that_was_cut_off_is_done_again(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = {host.name: factories.prepared(host) for host in cluster.hosts}
    cut = {"markers": ["init-started"], "admin": True, "manifests": {"kube-apiserver": "x"}, "joined": True}
    documents["cp1"] = factories.merged(documents["cp1"], {"kubernetes": cut, "api": {"error": "refused"}})
    golden("plans/interrupted-in-init.txt", as_text(steps_of(cluster, documents)))


def test_a_join_that_was_cut_off_is_done_again(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kubernetes"]["markers"] = ["join-started"]
    golden("plans/interrupted-in-join.txt", as_text(steps_of(cluster, documents)))


def test_labels_and_taints_of_the_file_are_set_on_nodes(golden: Golden) -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    worker = cluster.hosts[1].model_copy(
        update={"labels": {"disk": "ssd"}, "taints": ("only=db:NoSchedule",)}
    )
    wanted = cluster.model_copy(update={"hosts": (cluster.hosts[0], worker)})
    golden("plans/labels.txt", as_text(steps_of(wanted, documents)))


def test_labels_that_are_there_need_nothing() -> None:
    cluster = factories.cluster("cp", "w")
    worker = cluster.hosts[1].model_copy(
        update={"labels": {"disk": "ssd"}, "taints": ("only=db:NoSchedule",)}
    )
    wanted = cluster.model_copy(update={"hosts": (cluster.hosts[0], worker)})
    documents = factories.running(wanted)
    taint = {"key": "only", "value": "db", "effect": "NoSchedule"}
    documents["cp1"]["api"]["nodes"][1].update(
        taints=[taint], marks='{"labels": ["disk"], "taints": ["only:NoSchedule"]}'
    )
    assert steps_of(wanted, documents) == ()


def test_labels_and_taints_that_left_the_file_are_taken_off_and_those_of_others_stay() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    node = documents["cp1"]["api"]["nodes"][1]
    node["labels"].update(disk="ssd", theirs="x")
    node["taints"] = [
        {"key": "only", "value": "db", "effect": "NoSchedule"},
        {"key": "x", "value": "", "effect": "NoExecute"},
    ]
    node["marks"] = '{"labels": ["disk", "gone"], "taints": ["only:NoSchedule"]}'

    label = next(step for step in steps_of(cluster, documents) if step.name == "label-nodes")

    assert [reason.what for reason in label.reasons] == [
        "the label disk is no longer in the file",
        "the taint only:NoSchedule is no longer in the file",
    ]
    assert label.node_variables["node_labels_nodes"] == {"w1": {"labels": {}, "taints": []}}


def test_labels_that_nobody_has_noted_as_the_files_are_noted() -> None:
    cluster = factories.cluster("cp", "w")
    worker = cluster.hosts[1].model_copy(update={"labels": {"disk": "ssd"}})
    wanted = cluster.model_copy(update={"hosts": (cluster.hosts[0], worker)})

    steps = steps_of(wanted, factories.running(wanted))

    assert names(steps) == ["label-nodes", "wait-ready"]
    assert "has not noted yet" in steps[0].reasons[0].what


def test_a_node_that_the_cluster_lost_joins_again() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"] = factories.api(cluster.hosts[0])
    join = next(step for step in steps_of(cluster, documents) if step.name == "join-workers")
    assert [reason.what for reason in join.reasons] == [
        "has a kubelet.conf, but the cluster has no node of that name"
    ]


def test_a_node_that_is_not_ready_is_waited_for() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"]["nodes"][1].update(ready=False, message="PLEG is not healthy")
    (step,) = steps_of(cluster, documents)
    assert (step.name, step.hosts) == ("wait-ready", ("cp1",))
    assert [(reason.host, reason.what) for reason in step.reasons] == [
        ("w1", "is not ready (PLEG is not healthy)")
    ]


def test_a_silent_api_server_is_waited_for_and_no_second_cluster_is_made() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"] = {"error": "connection refused"}
    assert names(steps_of(cluster, documents)) == ["wait-ready"]


def test_with_the_first_control_plane_new_the_cluster_is_reached_through_another() -> None:
    cluster = factories.cluster("cp", "cp", "w", endpoint="10.0.0.10:6443")
    documents = factories.running(cluster)
    documents["cp1"] = factories.fresh(cluster.hosts[0])
    documents["cp2"]["api"] = factories.api(*cluster.hosts[1:])
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert "init-control-plane" not in steps
    assert steps["join-control-planes"].variables["node_join_control_plane"] == "cp2"
    assert steps["wait-ready"].hosts == ("cp2",)


def test_a_rebooted_host_whose_modules_are_gone_is_prepared_again() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["kernel"]["modules"]["br_netfilter"]["loaded"] = False
    assert names(steps_of(cluster, documents)) == ["prepare-hosts", "wait-ready"]


@pytest.mark.parametrize("package", ["containerd.io", "kubelet"])
def test_another_version_on_a_node_triggers_nothing(package: str) -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["software"]["packages"][package]["version"] = "2.1.0-1"
    assert steps_of(cluster, documents) == ()


def test_a_newer_pause_tag_does_not_restart_the_runtime_of_a_node() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["software"]["containerd"]["sandbox_image"] = "registry.k8s.io/pause:3.9"
    assert steps_of(cluster, documents) == ()


def test_a_containerd_that_is_good_enough_keeps_its_version() -> None:
    cluster = factories.cluster("cp", "w")
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    present = {"version": "2.1.4-1~debian.13~trixie", "held": False, "whole": True}
    documents["w1"]["software"]["packages"]["containerd.io"] = present
    step = next(step for step in steps_of(cluster, documents) if step.name == "install-containerd")
    assert step.host_variables == {"w1": {"containerd_version": "2.1.4"}}


def test_hosts_that_are_no_nodes_get_the_runtime_version_of_the_file() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.9")
    documents = {"cp1": factories.fresh(cluster.host("cp1")), "w1": factories.prepared(cluster.host("w1"))}
    step = next(step for step in steps_of(cluster, documents) if step.name == "install-containerd")
    assert (step.variables["containerd_version"], step.host_variables) == ("2.3.9", {})
    assert Reason("w1", "containerd is 2.3.7, 2.3.9 is wanted") in step.reasons


def test_a_node_keeps_the_version_of_its_runtime_without_a_newer_one_in_the_file() -> None:
    cluster = factories.cluster("cp", "w", runtime_version="2.3.5")
    assert steps_of(cluster, factories.running(cluster)) == ()
    documents = factories.running(cluster)
    documents["w1"]["software"]["containerd"]["systemd_cgroup"] = False
    step = steps_of(cluster, documents)[0]
    assert (step.name, step.host_variables) == ("install-containerd", {"w1": {"containerd_version": "2.3.7"}})


@pytest.mark.parametrize("encapsulation", ["vxlan", "ipip"])
def test_a_new_cluster_gets_the_calico_of_the_file(encapsulation: str) -> None:
    network = {"version": "3.31.0", "encapsulation": encapsulation}
    cluster = factories.cluster("cp", "w", network=network)
    steps = {s.name: s for s in steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})}
    name = "calico-vxlan" if encapsulation == "vxlan" else "calico"
    calico = steps["install-network"].variables
    assert calico["calico_version"] == "v3.31.0"
    assert str(calico["calico_manifest_url"]).endswith(f"/projectcalico/calico/v3.31.0/manifests/{name}.yaml")
    assert calico["calico_manifest_sha256"] == versions().calico.manifests["3.31.0"][name]
    images = steps["pull-images"].host_variables["w1"]["images_pull"]
    assert isinstance(images, list)
    assert [image for image in images if "quay.io" in image] == [
        f"quay.io/calico/{part}:v3.31.0" for part in ("node", "cni", "kube-controllers")
    ]


def test_an_installed_calico_keeps_its_version_and_new_nodes_pull_that() -> None:
    cluster = factories.cluster("cp", "w", "w", network={"version": "3.31.0"})
    documents = factories.running(cluster)
    documents["w2"] = factories.fresh(cluster.host("w2"))
    documents["cp1"]["api"] = factories.api(*cluster.hosts[:2])
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert "install-network" not in steps
    images = steps["pull-images"].host_variables["w2"]["images_pull"]
    assert isinstance(images, list)
    assert "quay.io/calico/node:v3.32.1" in images


def test_a_calico_that_was_cut_off_is_applied_and_pulled_in_the_version_of_the_file() -> None:
    cluster = factories.cluster("cp", "w", network={"version": "3.31.0"})
    documents = factories.running(cluster, network=False)
    begun = {"images": ["quay.io/calico/node:v3.32.1"], "wanted": 2, "ready": 0}
    documents["cp1"]["api"]["daemonsets"]["calico-node"] = begun
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert steps["install-network"].variables["calico_version"] == "v3.31.0"
    assert steps["pull-images"].host_variables["w1"]["images_pull"] == role_vars.calico_images("v3.31.0")


def test_a_mirror_turns_every_address_to_itself() -> None:
    base = "http://mirror:8080"
    mirror = {
        "packages": base,
        "packages_key": "A" * 40,
        "images": "http://mirror:5000/",
        "manifests": base + "/",
    }
    cluster = factories.cluster("cp", "w", mirror=mirror)
    steps = {
        s.name: s.variables for s in steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})
    }
    containerd = steps["install-containerd"]
    assert containerd["containerd_repository_url"] == base
    assert containerd["containerd_repository_fingerprint"] == "A" * 40
    assert containerd["containerd_mirrors"] == {
        "quay.io": "http://mirror:5000/v2/quay.io",
        "registry.k8s.io": "http://mirror:5000/v2/registry.k8s.io",
    }
    assert steps["install-kubernetes"]["kube_packages_repository_url"] == base
    assert str(steps["install-network"]["calico_manifest_url"]).startswith(base + "/projectcalico/")


def test_a_mirror_that_the_file_dropped_is_taken_out_of_the_runtime() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    ours = {"urls": ["http://mirror:5000/v2/quay.io"], "ours": True}
    own = {"urls": ["http://cache"], "ours": False}
    documents["w1"]["software"]["containerd"]["hosts"] = {"quay.io": ours, "docker.io": own}
    step = steps_of(cluster, documents)[0]
    assert (step.name, len(step.reasons)) == ("install-containerd", 1)


def test_old_nodes_stay_untouched_whatever_the_number_of_new_ones() -> None:
    small, large = factories.cluster("cp", "w"), factories.cluster("cp", *["w"] * 50)
    documents = {**factories.running(small), **{h.name: factories.fresh(h) for h in large.hosts[2:]}}
    touched = {host for step in steps_of(large, documents) for host in step.hosts}
    assert "w1" not in touched


def test_hosts_that_were_not_observed_are_left_alone() -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = factories.running(cluster)
    documents["w2"] = factories.fresh(cluster.host("w2"))
    documents["cp1"]["api"] = factories.api(*cluster.hosts[:2])
    del documents["w1"]
    assert "w1" not in {host for step in steps_of(cluster, documents) for host in step.hosts}


def test_no_smoke_test_without_new_nodes_or_when_it_is_not_wanted() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["w1"]["machine"]["hostname"] = "localhost"
    assert "smoke-test" not in names(steps_of(cluster, documents))
    fresh = {host.name: factories.fresh(host) for host in cluster.hosts}
    assert "smoke-test" not in names(steps_of(cluster, fresh, smoke=False))
    assert "smoke-test" in names(steps_of(cluster, fresh))


def test_every_step_needs_only_steps_before_it() -> None:
    cluster = factories.cluster("cp", "cp", "cp", "w", endpoint="10.0.0.10:6443")
    steps = steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})
    for position, step in enumerate(steps):
        assert set(step.needs) & set(names(steps)) <= set(names(steps[:position])), step.name


def test_the_endpoint_of_a_host_of_ours_gets_a_hosts_entry() -> None:
    cluster = factories.cluster("cp", "w", endpoint="cp1:6443")
    step = steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})[0]
    assert step.host_variables["w1"]["host_prepare_hosts_entries"] == [
        {"address": "10.0.0.21", "names": ["w1"]},
        {"address": "10.0.0.11", "names": ["cp1"]},
    ]


def test_swap_is_named_with_its_source() -> None:
    cluster = factories.cluster("cp")
    documents = {"cp1": factories.prepared(cluster.hosts[0])}
    zram = {"path": "/dev/zram0", "origin": "zram-generator"}
    unit = {"path": "/dev/zram0", "origin": "dev-zram0.swap"}
    file = {"path": "/swapfile", "origin": "/etc/fstab"}
    documents["cp1"]["machine"]["swap"] = {"active": ["/dev/zram0"], "sources": [unit, zram, file]}
    step = steps_of(cluster, documents)[0]
    assert [reason.what for reason in step.reasons] == [
        "swap is on (/dev/zram0, from zram-generator)",
        "swap would be on after a reboot (/swapfile, from /etc/fstab)",
    ]


def test_a_smoke_test_that_failed_is_done_again_by_the_next_apply() -> None:
    cluster = factories.cluster("cp", "w")
    documents = factories.running(cluster)
    documents["cp1"]["api"]["note"]["unproven"] = "true"

    (step,) = steps_of(cluster, documents)

    assert (step.name, step.hosts) == ("smoke-test", ("cp1",))
    assert step.variables["smoke_test_server_node"] == "w1"
    assert names(steps_of(cluster, documents, smoke=False)) == []


def test_a_lone_control_plane_is_proven_again_too() -> None:
    cluster = factories.cluster("cp")
    documents = factories.running(cluster)
    documents["cp1"]["api"]["note"]["unproven"] = "true"

    (step,) = steps_of(cluster, documents)

    assert step.variables["smoke_test_client_node"] == "cp1"


def test_nftables_is_one_choice_for_kube_proxy_calico_and_kernel_modules() -> None:
    cluster = factories.cluster("cp", "w", network={"dataplane": "nftables"})
    steps = {s.name: s for s in steps_of(cluster, {h.name: factories.fresh(h) for h in cluster.hosts})}
    assert steps["install-network"].variables["calico_dataplane"] == "nftables"
    documents = steps["init-control-plane"].variables["control_plane_config"]
    assert isinstance(documents, list)
    assert documents[-1]["mode"] == "nftables"
    modules = ["overlay", "br_netfilter", "nf_conntrack", "nf_tables"]
    assert steps["prepare-hosts"].variables["host_prepare_modules"] == modules
    assert Reason("w1", "nf_tables is not loaded") in steps["prepare-hosts"].reasons


@pytest.mark.parametrize(
    ("system", "version", "runtime", "expected"),
    [
        ("debian", "13", "containerd", "iptables"),
        ("rocky", "9.6", "containerd", "iptables"),
        ("rocky", "10.1", "containerd", "nftables"),
        ("rocky", "10.1", "docker", "iptables"),
    ],
)
def test_the_dataplane_follows_from_the_systems(
    system: str, version: str, runtime: str, expected: str
) -> None:
    cluster = factories.cluster("cp", "w", runtime=runtime)
    documents = {host.name: factories.fresh(host) for host in cluster.hosts}
    documents["w1"]["machine"]["os"].update(id=system, version=version)
    assert role_vars.chosen_dataplane(cluster, factories.observation(documents)) == expected


def test_a_cluster_keeps_its_dataplane_whatever_comes() -> None:
    cluster = factories.cluster("cp", "w", "w")
    documents = factories.running(cluster)
    documents["w2"] = factories.fresh(cluster.host("w2"))
    documents["w2"]["machine"]["os"].update(id="rocky", version="10.1")
    documents["cp1"]["api"] = {**factories.api(*cluster.hosts[:2]), "proxy_mode": "iptables"}
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert "nf_tables" not in str(steps["prepare-hosts"].variables["host_prepare_modules"])
    documents["cp1"]["api"]["proxy_mode"] = "nftables"
    steps = {step.name: step for step in steps_of(cluster, documents)}
    assert "nf_tables" in str(steps["prepare-hosts"].variables["host_prepare_modules"])
