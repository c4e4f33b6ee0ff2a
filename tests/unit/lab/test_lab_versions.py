"""What a lab offers of what can be built."""

from __future__ import annotations

import pytest

from provision.errors import LabError
from provision.lab.versions import Offer, choose_offer, lab_versions, runtime_names
from provision.versions import versions

KNOWN = lab_versions()


def test_a_new_lab_offers_one_minor_and_one_runtime() -> None:
    offer = choose_offer((), ())

    assert offer == Offer((KNOWN.kubernetes.default,), ("containerd",))
    assert (offer.containerds(), offer.crios()) == ((KNOWN.containerd[0],), {})


def test_machines_of_the_rhel_family_want_rpm_packages_of_their_release() -> None:
    mixed = choose_offer((), (), systems=("debian-13", "rocky-10"))

    assert choose_offer((), ()).majors() == ()
    assert mixed.majors() == ("10",)
    assert choose_offer((), (), mixed, ("rocky-9",)).majors() == ("10", "9")


@pytest.mark.parametrize("asked", ["1.37", "1.37.2", "v1.37.2"])
def test_a_minor_is_found_by_itself_and_by_its_version(asked: str) -> None:
    assert choose_offer((asked,), ()).minors == ("1.37",)


def test_minors_are_offered_side_by_side_in_the_order_of_the_options() -> None:
    assert choose_offer(("1.37", "1.35", "1.37.2"), ()).minors == ("1.37", "1.35")


@pytest.mark.parametrize("asked", ["1.33", "1.36.6", "1", "latest"])
def test_a_kubernetes_that_cannot_be_built_is_refused_with_those_that_can(asked: str) -> None:
    with pytest.raises(LabError, match=f"cannot build Kubernetes {asked}") as caught:
        choose_offer((asked,), ())

    assert caught.value.fix == "--kubernetes takes 1.34.4, 1.35.4, 1.36.3, 1.37.2, or their minors"


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match="no runtime podman") as caught:
        choose_offer((), ("podman",))

    assert caught.value.fix == f"--runtime takes {', '.join(runtime_names())}"


def test_an_existing_lab_keeps_its_cluster_and_gets_more_beside_it() -> None:
    present = Offer(("1.35",), ("docker",))

    assert choose_offer((), (), present) == present
    assert choose_offer(("1.36",), ("containerd",), present) == Offer(
        ("1.35", "1.36"), ("docker", "containerd")
    )


def test_each_line_of_containerd_is_a_runtime_of_its_own() -> None:
    names = [name for name in runtime_names() if name.startswith("containerd")]
    offer = choose_offer((), names)

    assert offer.containerds() == KNOWN.containerd
    assert [choose_offer((), (name,)).runtime() for name in names] == [
        ("containerd", version) for version in KNOWN.containerd
    ]


def test_docker_runs_on_a_containerd_and_crio_on_none() -> None:
    assert choose_offer((), ("docker",)).containerds() == (KNOWN.containerd[0],)
    assert KNOWN.containerd[0] == versions().containerd.version  # which provision installs with Docker
    assert choose_offer((), ("docker",)).runtime() == ("docker", KNOWN.docker.engine)
    assert choose_offer((), ("crio",)).containerds() == ()


def test_a_containerd_that_is_too_old_for_the_minor_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    older_first = KNOWN.model_copy(update={"containerd": ("2.2.3", "2.3.7")})
    monkeypatch.setattr("provision.lab.versions.lab_versions", lambda: older_first)

    assert choose_offer(("1.36",), ()).runtime() == ("containerd", "2.2.3")
    assert choose_offer(("1.37",), ()).runtime() == ("containerd", "2.3.7")
    assert choose_offer(("1.36", "1.37"), ()).containerds() == ("2.2.3", "2.3.7")


def test_crio_is_that_of_the_clusters_minor() -> None:
    offer = choose_offer(("1.36", "1.37"), ("crio",))

    assert offer.runtime() == ("crio", "1.36.3")
    assert offer.crios() == {"1.36": "1.36.3"}


@pytest.mark.parametrize(
    ("minors", "runtimes"), [(("1.37", "1.36"), ("crio",)), (("1.37", "1.35"), ("containerd", "crio"))]
)
def test_crio_without_the_minor_that_it_belongs_to_is_refused(
    minors: tuple[str, ...], runtimes: tuple[str, ...]
) -> None:
    with pytest.raises(LabError, match=r"cannot build CRI-O for Kubernetes 1\.37") as caught:
        choose_offer(minors, runtimes)

    assert caught.value.fix == "--kubernetes takes 1.36.3 with it"


def test_crio_beside_another_runtime_needs_just_one_minor_that_has_it() -> None:
    assert choose_offer(("1.37", "1.36"), ("containerd", "crio")).crios() == {"1.36": "1.36.3"}


def test_a_crio_is_of_the_minor_that_it_is_for() -> None:
    for minor, one in KNOWN.kubernetes.minors.items():
        assert one.crio is None or one.crio.startswith(f"{minor}.")
