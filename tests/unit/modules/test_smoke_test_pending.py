from __future__ import annotations

from typing import Any

from .conftest import library

smoke_test = library("provision_smoke_test")
api_errors = library("provision_api")
NOTE = "/api/v1/namespaces/kube-system/configmaps/provision"


class ConfigMaps:
    """The API server as far as one ConfigMap goes; merge patches as in RFC 7396."""

    def __init__(self, data: dict[str, str] | None) -> None:
        self.data = data

    def get(self, _path: str) -> dict[str, Any] | None:
        return None if self.data is None else {"data": self.data}

    def create(self, _path: str, body: dict[str, Any]) -> None:
        self.data = dict(body["data"])

    def merge(self, path: str, body: dict[str, Any]) -> None:
        if self.data is None:
            raise api_errors.ApiError(f"no {path}", 404)
        merged = {**self.data, **body["data"]}
        self.data = {key: value for key, value in merged.items() if value is not None}


def test_a_mark_is_set_also_where_there_is_no_config_map_yet_and_goes_again() -> None:
    cluster = ConfigMaps(None)

    smoke_test.mark_pending(cluster)
    assert cluster.data == {"unproven": "true"}
    smoke_test.mark_passed(cluster)

    assert cluster.data == {}


def test_what_else_is_noted_of_the_cluster_stays() -> None:
    cluster = ConfigMaps({"calico": "v3.31.0"})

    smoke_test.mark_pending(cluster)
    assert cluster.data == {"calico": "v3.31.0", "unproven": "true"}
    smoke_test.mark_passed(cluster)

    assert cluster.data == {"calico": "v3.31.0"}


def test_a_cluster_without_a_mark_is_left_alone() -> None:
    cluster = ConfigMaps(None)

    smoke_test.mark_passed(cluster)

    assert cluster.data is None
