"""Rules of single values: each refuses invalid ones and says what to write."""

from __future__ import annotations

import base64

import pytest

from .factories import changed, findings_of, kubeadm_file, only


def ed25519(kind: bytes = b"ssh-ed25519", size: int = 32) -> str:
    blob = len(kind).to_bytes(4, "big") + kind + size.to_bytes(4, "big") + bytes(size)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def quoted(value: str) -> str:
    """Return the value as a double-quoted scalar, so that only its content matters."""
    return (
        '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\0", "\\0") + '"'
    )


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [
        ("v1.36.3", "begins with v", 'write "1.36.3"'),
        ("1.36", "is a minor version", '"1.36.6"'),
        ("1.34", "is a minor version", '"1.34.13"'),
        ("1.30", "is a minor version", "supported: 1.34, 1.35, 1.36, 1.37"),
        ("1.32.2", "Kubernetes 1.32 is no longer supported", "supported: 1.34, 1.35, 1.36, 1.37"),
        ("1.38.0", "Kubernetes 1.38 is newer than this release knows", "supported: 1.34"),
        ("2.0.0", "newer than this release knows", ""),
        ("1.38.0-rc.1", "a pre-release", ""),
        ("1.36.3+k3s1", "a pre-release or a build of its own", ""),
        ("latest", "is not a version like 1.36.6", ""),
        ("1.36.03", "is not a version", ""),
        ("", "is not a version", ""),
    ],
)
def test_a_version_is_a_full_one_of_a_supported_minor(version: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(('"1.36.3"', quoted(version)))))
    assert (finding.key, finding.check) == ("kubernetes", "kubernetes-version")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("version", ["1.36.0", "1.36.99", "1.33.13", "1.35.0", "1.37.2"])
def test_every_patch_of_a_supported_minor_is_accepted(version: str) -> None:
    assert findings_of(changed(("1.36.3", version))) == ()


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [
        ("v3.31.0", "begins with v", 'write "3.31.0"'),
        ("3.31", "the manifest of Calico 3.31 is not known", 'write "3.31.0" or "3.32.1"'),
        ("3.30.9", "the manifest of Calico 3.30.9 is not known", ""),
        ("", "is not known", ""),
    ],
)
def test_a_version_of_calico_is_one_with_a_known_manifest(version: str, message: str, fix: str) -> None:
    found = findings_of(changed(("network:", f"network:\n  version: {quoted(version)}")))
    finding = only(found)
    assert (finding.key, finding.check) == ("network.version", "network-version")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("version", "message", "fix"),
    [
        ("v2.3.7", "begins with v", 'write "2.3.7"'),
        ("2.3", "2.3 is not a full version", 'write "2.3.7"'),
        ("2.3.7-1", "2.3.7-1 is not a full version", ""),
        ("latest", "latest is not a full version", ""),
        (
            "2.1.9",
            "containerd 2.1.9 is not tested with Kubernetes 1.36 (tested: 2.3.0 or newer of 2.3, 2.2.0",
            "",
        ),
        ("1.7.28", "containerd 1.7.28 is too old, 2.0 or newer is needed", 'write "2.3.7"'),
        ("2.99.0", "containerd 2.99 is not known to this release", ""),
    ],
)
def test_a_version_of_containerd_is_a_full_one_of_a_known_line(version: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(add=f"runtime_version: {quoted(version)}\n")))
    assert (finding.key, finding.check) == ("runtime_version", "runtime-version")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("v29.7.2", "begins with v"),
        ("5:29.7.2", "is not a full version"),
        ("29.7", "is not a full version"),
        ("20.10.24", "Docker Engine 20.10.24 is too old for cri-dockerd, 23.0 or newer is needed"),
    ],
)
def test_a_version_of_docker_is_a_full_one_of_its_engine(version: str, message: str) -> None:
    text = changed(add=f"runtime: docker\nruntime_version: {quoted(version)}\n")
    finding = only(findings_of(text))
    assert (finding.key, finding.check) == ("runtime_version", "runtime-version")
    assert message in finding.message
    assert finding.fix == 'write "29.7.2"'


def test_versions_of_runtime_and_network_are_read_as_written() -> None:
    text = changed(("network:", 'network:\n  version: "3.32.1"'), add='runtime_version: "2.3.9"\n')
    cluster = kubeadm_file(text).cluster
    assert (cluster.network.version, cluster.runtime_version) == ("3.32.1", "2.3.9")


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("Web1", "has upper-case letters", "write web1"),
        ("web_1", "has an underscore", "write web-1"),
        ("web1.", "ends with a dot", "write web1"),
        ("-web", "begins with `-`", ""),
        ("web-", "begins or ends with -", ""),
        ("web 1", "has characters that a name may not have", ""),
        ("wéb", "has characters that a name may not have", ""),
        ("a" * 64, "has 64 characters; at most 63", ""),
        ("", "the name is empty", ""),
        ("localhost", "is a reserved name", ""),
        ("Localhost.", "is a reserved name", ""),
        ("localhost.localdomain", "is a reserved name", ""),
        ("workers", "is a reserved name", ""),
        ("all", "is a reserved name", ""),
        ("10.0.0.21", "looks like an IPv4 address", "below `address`"),
        ("1", "looks like an IPv4 address", ""),
        ("a..b", "is a path, not a name", ""),
        ("../../etc", "is a path, not a name", ""),
    ],
)
def test_a_host_name_follows_rfc_1123(name: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(("w1", quoted(name)))))
    assert finding.key == "hosts[1].name"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("name", ["w1", "w1.example.com", "1a", "a" * 63])
def test_a_good_host_name_is_accepted(name: str) -> None:
    assert findings_of(changed(("w1", quoted(name)))) == ()


@pytest.mark.parametrize("name", ["../../tmp/x", "a/b", "De_mo", "a.b", "x" * 64, "", ".", "a\nb", "$(id)"])
def test_a_cluster_name_is_a_dns_label_and_no_path(name: str) -> None:
    assert only(findings_of(changed(("demo", quoted(name))))).key == "name"


@pytest.mark.parametrize(
    "value",
    [
        "{{ lookup('pipe','id') }}",
        "{% x %}",
        "{# x #}",
        "$(id)",
        "${HOME}",
        "`id`",
        "a; rm -rf /",
        "a | b",
        "a && b",
        "a\nb",
        "a\0b",
        "-oProxyCommand=id",
        "--help",
        "a'b",
        'a"b',
        "a\\b",
    ],
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: w1", "name: {}"),
        ("10.0.0.21", "{}"),
        ("role: worker", "role: worker, user: {}"),
        ("role: worker", "role: worker, host_key: {}"),
        ("role: worker", "role: worker, labels: {{x: {}}}"),
        ("role: worker", "role: worker, labels: {{{}: x}}"),
        ("role: worker", "role: worker, taints: [{}]"),
        ("name: demo", "name: {}"),
        ("10.244.0.0/16", "{}"),
        ('"1.36.3"', "{}"),
        ("network:", "endpoint: {}\nnetwork:"),
        ("network:", "ssh: {{user: {}}}\nnetwork:"),
        ("network:", "ssh: {{key: {}}}\nnetwork:"),
        ("network:", "ssh: {{bastion: {}}}\nnetwork:"),
        ("network:", "mirror: {{images: {}}}\nnetwork:"),
        ("network:", "kubeadm: {{ignore_preflight_errors: [{}]}}\nnetwork:"),
    ],
)
def test_no_text_is_a_template_a_command_or_an_option(old: str, new: str, value: str) -> None:
    found = findings_of(changed((old, new.format(quoted(value)))))
    assert "plain-text" in {finding.check for finding in found}


@pytest.mark.parametrize(
    ("address", "message", "fix"),
    [
        ("10.0.0.300", "10.0.0.300 is not an IPv4 or IPv6 address or a host name", ""),
        ("10.0.0", "is not an IPv4", ""),
        ("10.0.0.21:2222", "is not an IPv4", "write 10.0.0.21, and the port below `port`"),
        ("ubuntu@10.0.0.21", "is not an IPv4", "write the user below `user`"),
        ("ssh://10.0.0.21", "is not an IPv4", "without the URL"),
        ("10.0.0.21/24", "is not an IPv4", "write 10.0.0.21, without the prefix length"),
        ("[fd00::21]", "is not an IPv4", "write fd00::21"),
        ("web_1.example.com", "is not an IPv4", ""),
        ("localhost", "is a different machine on every host", ""),
        ("127.0.0.1", "is a loopback address", ""),
        ("::1", "is a loopback address", ""),
        ("0.0.0.0", "is the unspecified address", ""),  # noqa: S104 nothing is bound
        ("224.0.0.1", "is a multicast address", ""),
        ("169.254.1.1", "is a link-local address", ""),
        ("255.255.255.255", "is a reserved address", ""),
        ("", "is not an IPv4", ""),
        (f"{'a' * 64}.com", "is not an IPv4", ""),
    ],
)
def test_an_address_is_one_that_other_machines_can_reach(address: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(("10.0.0.21", quoted(address)))))
    assert (finding.key, finding.check) == ("hosts[1].address", "address")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    "address", ["fd00::21", "w1.example.com", "W1.example.com", "192.168.1.5", "203.0.113.9"]
)
def test_a_good_address_is_accepted(address: str) -> None:
    assert findings_of(changed(("10.0.0.21", quoted(address)))) == ()


@pytest.mark.parametrize("port", ["0", "-1", "65536", "99999999999999999999"])
def test_a_port_is_between_1_and_65535(port: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: worker, port: {port}"))))
    assert (finding.key, finding.message) == ("hosts[1].port", f"{port} is not a port")


@pytest.mark.parametrize("user", ["ubuntu@host", "a b", "1user", "x" * 33, ""])
def test_a_user_is_a_linux_user_name(user: str) -> None:
    found = findings_of(
        changed(
            ("role: worker", f"role: worker, user: {quoted(user)}"),
            ("hosts:", f"ssh: {{user: {quoted(user)}}}\nhosts:"),
        )
    )
    assert [(finding.key, finding.check) for finding in found] == [
        ("ssh.user", "user-name"),
        ("hosts[1].user", "user-name"),
    ]


@pytest.mark.parametrize(
    ("endpoint", "message", "fix"),
    [
        ("10.0.0.10", "has no port", "write 10.0.0.10:6443"),
        ("fd00::10", "has no port", "write [fd00::10]:6443"),
        ("api.example.com", "has no port", "write api.example.com:6443"),
        ("https://api.example.com:6443/", "is a URL", "write api.example.com:6443"),
        ("10.0.0.10:0", "0 is not a port", ""),
        ("10.0.0.10:70000", "70000 is not a port", ""),
        ("10.0.0.10:https", "is not host:port", ""),
        ("fd00::10:6443:", "is not host:port", ""),
        ("127.0.0.1:6443", "is a loopback address", ""),
        ("localhost:6443", "is a different machine", ""),
        ("10.0.0.999:6443", "is not an IPv4", ""),
        ("", "is not host:port", ""),
    ],
)
def test_an_endpoint_is_host_and_port(endpoint: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(add=f"endpoint: {quoted(endpoint)}\n")))
    assert finding.key == "endpoint"
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("written", "key", "message", "fix"),
    [
        ("{vip: fd00::10}", "endpoint.vip", "is not an IPv4 address", "10.0.0.10"),
        ("{vip: api.example.com}", "endpoint.vip", "is not an IPv4 address", "for example 10.0.0.10"),
        ("{vip: '10.0.0.10:6443'}", "endpoint.vip", "is not an IPv4 address", ""),
        ("{vip: 10.0.0.10/24}", "endpoint.vip", "is not an IPv4 address", "without the prefix length"),
        ("{vip: 127.0.0.1}", "endpoint.vip", "a loopback address", "free address"),
        ("{vip: 10.0.0.21}", "endpoint.vip", "is the address of w1", "write a free address"),
        ("{vip: 10.244.3.4}", "endpoint.vip", "is inside the pod range", ""),
        ("{vip: 10}", "endpoint.vip", "10 is a number; text is needed", ""),
        ("{vpi: 10.0.0.10}", "endpoint.vpi", "there is no such key", "did you mean vip?"),
        ("{}", "endpoint.vip", "vip is missing", "add `vip: 10.0.0.10`"),
        ("7", "endpoint", "7 is a number; text is needed", ""),
        ("[local]", "endpoint", "a list is here; text is needed", ""),
    ],
)
def test_a_virtual_address_is_a_free_one_of_the_hosts_network(
    written: str, key: str, message: str, fix: str
) -> None:
    finding = only(findings_of(changed(add=f"endpoint: {written}\n")))
    assert finding.key == key
    assert message in finding.message
    assert fix in finding.fix


def test_a_good_virtual_address_is_accepted() -> None:
    assert findings_of(changed(add="endpoint: {vip: 10.0.0.10}\n")) == ()


@pytest.mark.parametrize("endpoint", ["10.0.0.10:6443", "[fd00::10]:6443", "api.example.com:443"])
def test_a_good_endpoint_is_accepted(endpoint: str) -> None:
    assert findings_of(changed(add=f"endpoint: {quoted(endpoint)}\n")) == ()


@pytest.mark.parametrize(
    "bastion", ["a b@host", "@host", "host:0", "host:99999", "u@h@i:x", "u@[fd00::1", "u@", ""]
)
def test_a_bastion_is_user_host_and_port(bastion: str) -> None:
    assert only(findings_of(changed(add=f"ssh: {{bastion: {quoted(bastion)}}}\n"))).key == "ssh.bastion"


@pytest.mark.parametrize(
    "bastion", ["host", "ubuntu@bastion.example.com:22", "root@[fd00::1]:2222", "127.0.0.1:2200"]
)
def test_a_good_bastion_is_accepted(bastion: str) -> None:
    assert findings_of(changed(add=f"ssh: {{bastion: {quoted(bastion)}}}\n")) == ()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("SHA256:abcdef", "this is a fingerprint"),
        ("10.0.0.21 ssh-ed25519 AAAAC3", "this is a line of known_hosts"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "begins with `-`"),
        ("ssh-ed25519", "cut off or mistyped"),
        ("ssh-ed25519 AAAAC3Nza...", "cut off or mistyped"),
        (ed25519()[:-8], "cut off or mistyped"),
        (ed25519(kind=b"ssh-rsa"), "cut off or mistyped"),
        ("ssh-dss AAAA", "a host key begins with its type; ssh-dss is not one"),
        ("", "nothing is not one"),
    ],
)
def test_a_host_key_is_a_whole_public_key(key: str, message: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: worker, host_key: {quoted(key)}"))))
    assert finding.key == "hosts[1].host_key"
    assert message in finding.message


def test_a_good_host_key_is_accepted_with_and_without_its_comment() -> None:
    for key in (ed25519(), f"{ed25519()} root@w1"):
        assert findings_of(changed(("role: worker", f"role: worker, host_key: {key}"))) == ()


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("a b: x", "does not allow"),
        ('"": x', "has no name"),
        ("x/: y", "has no name"),
        ("-x: y", "begins with `-`"),
        (f"{'a' * 64}: x", "has 64 characters"),
        ("Ex_ample/x: y", "prefix that is not a DNS name"),
        ("disk: a b", "does not allow"),
        ("disk: ssd-", "does not allow"),
        (f"disk: {'a' * 64}", "has 64 characters"),
        ("kubernetes.io/hostname: x", "the kubelet sets the label"),
    ],
)
def test_a_label_is_what_kubernetes_accepts(label: str, message: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: worker, labels: {{{label}}}"))))
    assert finding.key.startswith("hosts[1].labels")
    assert message in finding.message


@pytest.mark.parametrize("label", ["disk: ssd", 'gpu: ""', "example.com/disk: A_b.c-1", '"1": "2"'])
def test_a_good_label_is_accepted(label: str) -> None:
    assert findings_of(changed(("role: worker", f"role: worker, labels: {{{label}}}"))) == ()


@pytest.mark.parametrize(
    ("taint", "message", "fix"),
    [
        ("dedicated=db", "has no effect", "dedicated=db:NoSchedule"),
        ("dedicated=db:noschedule", "noschedule is not an effect", "did you mean NoSchedule?"),
        ("dedicated:NoSchedule-", "is not an effect", "take it out of the list"),
        ("=db:NoSchedule", "has no name", ""),
        ("a b:NoSchedule", "does not allow", ""),
        ("a=b c:NoSchedule", "does not allow", ""),
        (":NoSchedule", "has no name", ""),
    ],
)
def test_a_taint_is_key_value_and_effect(taint: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(("role: worker", f"role: worker, taints: [{quoted(taint)}]"))))
    assert (finding.key, finding.check) == ("hosts[1].taints[0]", "taint")
    assert message in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize(
    "taint", ["dedicated=db:NoSchedule", "gpu:NoExecute", "example.com/x=:PreferNoSchedule"]
)
def test_a_good_taint_is_accepted(taint: str) -> None:
    assert findings_of(changed(("role: worker", f"role: worker, taints: [{quoted(taint)}]"))) == ()


@pytest.mark.parametrize(
    ("name", "message", "fix"),
    [
        ("all", "all would hide every problem", "one by one"),
        ("ALL", "all would hide every problem", ""),
        ("numcpu", "no preflight check numcpu", "did you mean NumCPU?"),
        ("Cpu", "no preflight check Cpu", ""),
        ("Port-http", "no preflight check Port-http", ""),
        ("DirAvailable-", "no preflight check", ""),
        ("xyzzy", "no preflight check xyzzy", "known: CRI, "),
    ],
)
def test_a_preflight_check_is_ignored_by_its_name_and_never_all(name: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(add=f"kubeadm: {{ignore_preflight_errors: [{name}]}}\n")))
    assert finding.key == "kubeadm.ignore_preflight_errors[0]"
    assert message in finding.message
    assert fix in finding.fix


def test_known_preflight_checks_are_accepted() -> None:
    names = "NumCPU, Mem, Port-6443, DirAvailable--var-lib-etcd, FileContent--proc-sys-net-ipv4-ip_forward"
    assert findings_of(changed(add=f"kubeadm: {{ignore_preflight_errors: [{names}]}}\n")) == ()


@pytest.mark.parametrize(
    ("url", "message", "fix"),
    [
        ("mirror.example.com", "is not a URL", "write https://mirror.example.com"),
        ("https://mirror.example.com/", "ends with a slash", "write https://mirror.example.com"),
        ("ftp://mirror", "is not a URL", ""),
        ("https://", "is not a URL", ""),
        ("https://u:geheim@mirror", "holds a user name or password", ""),
        ("https://mirror/?a=b", "has a query or a fragment", ""),
        ("https://mir ror", "is not a URL", ""),
        ("https://mirror:99999", "is not host[:port]", ""),
        ("https://mir_ror", "is not host[:port]", ""),
        ("", "is not a URL", ""),
    ],
)
@pytest.mark.parametrize("key", ["packages", "images", "manifests"])
def test_a_mirror_is_a_base_url_without_credentials(key: str, url: str, message: str, fix: str) -> None:
    finding = only(findings_of(changed(add=f"mirror: {{{key}: {quoted(url)}}}\n")))
    assert (finding.key, finding.check) == (f"mirror.{key}", "mirror-url")
    assert message in finding.message
    assert fix in finding.fix
    assert "geheim" not in finding.message + finding.fix


@pytest.mark.parametrize(
    "url", ["http://192.168.77.1:8080", "https://m.example.com/a/b", "http://[fd00::1]:5000"]
)
def test_a_good_mirror_is_accepted(url: str) -> None:
    assert findings_of(changed(add=f"mirror: {{images: {quoted(url)}}}\n")) == ()


def test_a_mirrors_key_is_a_whole_fingerprint() -> None:
    whole = "DE15B14486CD377B9E876E1A234654DA9A296436"
    spaced = " ".join(whole[index : index + 4] for index in range(0, 40, 4))
    template = "mirror: {{packages: http://m, packages_key: {}}}\n"
    assert findings_of(changed(add=template.format(whole))) == ()
    assert "40 hex digits" in only(findings_of(changed(add=template.format("9A296436abcdefgh")))).message
    assert only(findings_of(changed(add=template.format(spaced)))).fix == f"write {whole}"


def test_a_mirrors_key_without_a_mirror_is_refused() -> None:
    finding = only(findings_of(changed(add=f"mirror: {{packages_key: {'A' * 40}}}\n")))
    assert "packages come from the public repositories" in finding.message


def test_a_very_long_value_does_not_make_a_very_long_message() -> None:
    finding = only(findings_of(changed(add=f"endpoint: a{'9' * 5000}b\n")))
    assert len(finding.message) + len(finding.fix) < 700
