"""Gives service accounts their AWS permissions: pod identity associations of EKS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from provision.providers.eks import names
from provision.providers.eks.actions.roles import find_role
from provision.providers.eks.actions.settling import refuse_foreign
from provision.providers.eks.readers.parts import find_pod_identity

if TYPE_CHECKING:
    from provision.providers.eks.work import Work


def ensure_pod_identities(work: Work) -> None:
    work.attempt_all([(host, "associate", partial(_association, work, host)) for host in work.step.hosts])


def _association(work: Work, resource: str) -> Iterator[str]:
    eks, spec, name = work.account.client("eks"), work.spec(resource), work.cluster.name
    namespace, account = str(spec["namespace"]), str(spec["service_account"])
    given = spec.get("role_arn")
    role = str(given or find_role(work, names.pod_role(namespace, account)).arn)
    found = find_pod_identity(name, namespace, account, work.account)
    if found is None:
        work.once_known(
            resource,
            "associate",
            lambda: eks.create_pod_identity_association(
                clusterName=name,
                namespace=namespace,
                serviceAccount=account,
                roleArn=role,
                tags=work.tags(resource),
            ),
        )
        yield f"gives it {role}"
        return
    refuse_foreign(resource, found)
    if found.role_arn != role:
        work.once_known(
            resource,
            "associate",
            lambda: eks.update_pod_identity_association(
                clusterName=name, associationId=found.id, roleArn=role
            ),
        )
        yield f"gives it {role} instead of {found.role_arn}"
