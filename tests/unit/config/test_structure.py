"""Keys and types of values: messages say what is there and what is needed."""

from __future__ import annotations

import pytest

from .factories import GOOD, changed, findings_of, only


@pytest.mark.parametrize(
    ("new", "meant"),
    [
        ("kubernets: 1", "kubernetes"),
        ("podCidr: 1", "network.pod_cidr"),
        ("pod_cidr: 1", "network.pod_cidr"),
        ("version: 1", "kubernetes"),
        ("nodes: []", "hosts"),
        ("Runtime: x", "runtime"),
    ],
)
def test_the_fix_of_an_unknown_key_is_the_closest_known_one(new: str, meant: str) -> None:
    finding = only(findings_of(changed(add=f"{new}\n")))
    assert (finding.where, finding.check) == ("cluster.yaml:8", "unknown-key")
    assert finding.fix == f"did you mean {meant}?"


def test_the_fix_of_a_key_like_no_other_is_the_list_of_keys() -> None:
    finding = only(findings_of(changed(add="zzz: 1\n")))
    assert finding.fix.startswith("known here: name, provider, kubernetes")


def test_a_misspelt_required_key_is_one_mistake_not_two() -> None:
    finding = only(findings_of(changed(("address: 10.0.0.21", "adress: 10.0.0.21"))))
    assert (finding.key, finding.fix) == ("hosts[1].adress", "did you mean address?")


def test_a_missing_key_is_named_with_an_example_at_the_line_of_its_mapping() -> None:
    finding = only(findings_of(changed((", address: 10.0.0.21", ""))))
    assert (finding.where, finding.key) == ("cluster.yaml:7", "hosts[1].address")
    assert finding.fix == "add `address: 10.0.0.11`"


@pytest.mark.parametrize(
    ("value", "message", "fix"),
    [
        ("1.30", "YAML reads 1.30 as the number 1.3", '"1.36.6"'),
        ("1.36", "1.36 is a number", '"1.36.6" (supported: 1.34, 1.35, 1.36, 1.37)'),
        ("1.33", "1.33 is a number", '"1.33.13"'),
    ],
)
def test_an_unquoted_version_is_explained(value: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(('"1.36.3"', value))))
    assert finding.key == "kubernetes"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("label", "message", "fix"),
    [
        ("no", "no without quotes is false to YAML; text is needed", 'write "no" in quotes'),
        ("On", "On without quotes is true to YAML; text is needed", 'write "On" in quotes'),
        ("0123", "YAML reads 0123 as the number 83; text is needed", 'write "0123" in quotes'),
        ("1_0", "YAML reads 1_0 as the number 10; text is needed", 'write "1_0" in quotes'),
        ("12:30:00", "YAML reads 12:30:00 as the number 45000; text is needed", 'write "12:30:00" in quotes'),
        (
            "2026-11-21",
            "2026-11-21 without quotes is a date to YAML; text is needed",
            '"2026-11-21" in quotes',
        ),
        ("null", "null without quotes is nothing (null) to YAML; text is needed", 'write "null" in quotes'),
        ("", "nothing is here (null); text is needed", "write a value"),
        ("[a]", "a list is here; text is needed", ""),
        ("{a: b}", "a mapping is here; text is needed", ""),
    ],
)
def test_what_yaml_makes_of_unquoted_words_is_explained(label: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: worker, labels: {{x: {label}}}"))))
    assert finding.key == "hosts[1].labels.x"
    assert finding.message == message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("old", "new", "key", "message", "fix"),
    [
        (
            "role: worker",
            'role: worker, port: "22"',
            "hosts[1].port",
            "22 is text; a whole",
            "22 without quotes",
        ),
        ("role: worker", "role: worker, port: 22.5", "hosts[1].port", "22.5 is a number; a whole number", ""),
        ("role: worker", "role: worker, port: yes", "hosts[1].port", "yes without quotes is true", ""),
        ("role: worker", "role: worker, taints: x", "hosts[1].taints", "x is text; a list is needed", "[x]"),
        ("role: worker", "role: worker, labels: x", "hosts[1].labels", "x is text; a mapping is needed", ""),
        ("  pod_cidr: 10.244.0.0/16", "  []", "network", "a list is here; a mapping is needed", ""),
        ("  pod_cidr: 10.244.0.0/16", "", "network", "nothing is here (null)", "take the key out"),
    ],
)
def test_a_wrong_type_says_what_is_there_and_what_is_needed(
    old: str, new: str, key: str, message: str, fix: str
) -> None:
    finding = only(findings_of(changed((old, new))))
    assert (finding.key, finding.check) == (key, "type")
    assert message in finding.message
    assert fix in finding.fix


def test_hosts_that_are_no_list_are_refused_with_an_example() -> None:
    head = GOOD.partition("hosts:")[0]
    finding = only(findings_of(f"{head}hosts: {{a: {{name: x}}}}\n"))
    assert (finding.key, finding.fix) == ("hosts", "begin each entry with `- `")


def test_a_file_without_hosts_says_where_they_come_from() -> None:
    finding = only(findings_of(GOOD.partition("hosts:")[0]))
    assert finding.message == "no hosts are given"
    assert "inventory" in finding.fix


@pytest.mark.parametrize(
    ("role", "fix"), [("master", "control-plane"), ("wroker", "worker"), ("controlplane", "control-plane")]
)
def test_the_fix_of_an_unknown_role_is_the_closest_known_one(role: str, fix: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: {role}"))))
    assert finding.message == f"{role} is none of control-plane, worker"
    assert finding.fix == f"did you mean {fix}?"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (changed(add="runtime: docker\n"), "runtime"),
        (changed(("role: worker", "role: worker, runtime: docker")), "hosts[1].runtime"),
    ],
)
def test_docker_is_refused_from_kubernetes_1_38_on(text: str, key: str) -> None:
    assert not findings_of(text)

    found = findings_of(text.replace("1.36.3", "1.38.0"))
    (finding,) = [one for one in found if one.check == "docker-support"]
    assert finding.key == key
    assert finding.message.startswith(
        "Docker does not go with Kubernetes 1.38: no cri-dockerd is tested with"
    )
    assert finding.fix == "write containerd or crio, or stay with Kubernetes 1.37"


@pytest.mark.parametrize(
    ("digests", "message"),
    [
        ("{cri-dockerd-0.4.0.amd64.tgz: abc}", "abc is not a sha256 digest"),
        (f"{{cri-dockerd-0.3.9.amd64.tgz: {'a' * 64}}}", "cri-dockerd 0.3.9 is too old"),
        (f"{{calico.yaml: {'a' * 64}}}", "calico.yaml is no file that provision downloads"),
        (
            f"{{cri-dockerd-0.4.0.amd64.tgz: {'a' * 64}, cri-dockerd-0.4.3.arm64.tgz: {'b' * 64}}}",
            "digests of several versions of cri-dockerd: 0.4.0, 0.4.3",
        ),
    ],
)
def test_digests_of_a_mirror_are_whole_and_of_files_that_are_downloaded(digests: str, message: str) -> None:
    finding = only(findings_of(changed(add=f"mirror:\n  digests: {digests}\n")))
    assert (finding.check, finding.message) == ("mirror-digest", message)


@pytest.mark.parametrize("runtime", ["crio", "docker"])
def test_a_registry_below_a_path_is_refused_for_runtimes_that_cannot_reach_it(runtime: str) -> None:
    mirror = "mirror:\n  images: https://m.example.com/registry\n"
    assert not findings_of(changed(add=mirror))
    finding = only(findings_of(changed(add=f"runtime: {runtime}\n{mirror}")))
    assert (finding.key, finding.check) == ("mirror.images", "mirror-path")
    assert f"{runtime} reaches a registry at the root of its host alone" in finding.message


def test_no_words_of_pydantic_reach_the_user() -> None:
    text = "name: [1]\nkubernetes: {}\nhosts: 7\nssh: 1\nmirror: {packages: 1, x: 2}\nkubeadm: a\nnetwork: {plugin: 1}"
    found = findings_of(text)
    assert len(found) == 8
    for finding in found:
        assert "Input should" not in finding.message
        assert "valid" not in finding.message


@pytest.mark.parametrize("add", ["runtime: docker\n", ""])
def test_docker_and_nftables_do_not_go_together(add: str) -> None:
    text = changed(("network:\n", "network:\n  dataplane: nftables\n"), add=add)
    text = text if add else text.replace("role: worker", "role: worker, runtime: docker")
    finding = only(findings_of(text))
    assert (finding.check, finding.key) == ("docker-dataplane", "network.dataplane")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("10.20.0.1/16", "did you mean 10.20.0.0/16?"),
        ("office", "for example 10.20.0.0/16"),
        ("10.20.0.7", ""),
        ("0.0.0.0/0", ""),
        ("fd00::/64", ""),
    ],
)
def test_sources_of_the_firewall_are_addresses_or_whole_ranges(value: str, message: str) -> None:
    for key in ("api_from", "node_ports_from"):
        found = findings_of(changed(add=f"firewall: {{{key}: ['{value}']}}\n"))
        assert [message in finding.fix for finding in found] == ([True] if message else [])
