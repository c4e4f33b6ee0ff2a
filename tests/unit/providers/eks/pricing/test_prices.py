from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provision.model.eks import EksCluster, NodeGroup, Subnets, Vpc
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.pricing import prices
from provision.providers.eks.pricing.estimate import estimate
from provision.report.text import estimate_text


def cluster(**changes: Any) -> EksCluster:
    document = {
        "name": "demo",
        "provider": "eks",
        "region": "eu-central-1",
        "kubernetes": "1.35",
        "node_groups": (NodeGroup(name="workers", instance_types=("m7i.large",)),),
    }
    return EksCluster.model_validate({**document, **changes})


def lines(asked: EksCluster, *, extended: bool = False) -> dict[str, float | None]:
    found = estimate(asked, prices.bundled(asked), extended=extended)
    return {line.item: None if line.monthly is None else round(line.monthly, 2) for line in found.lines}


def test_every_position_of_a_cluster_is_in_the_estimate() -> None:
    assert lines(cluster()) == {
        "control plane": 73.0,
        "node group workers: 2 x m7i.large": 176.29,  # 2 x 0.12075 x 730
        "node group workers: 2 x 80 GiB of disk": 15.23,  # 160 x 0.0952
        "1 x NAT gateway": 37.96,  # 0.052 x 730
        "1 x public IPv4 address": 3.65,
    }


def test_extended_support_costs_365_dollars_a_month_more() -> None:
    assert lines(cluster(), extended=True)["extended support"] == 365.0
    assert prices.extended_support_monthly() == 365.0


@pytest.mark.parametrize(
    ("vpc", "gateways"),
    [
        (Vpc(nat="per-zone", zones=("eu-central-1a", "eu-central-1b")), 2),
        (Vpc(nat="per-zone"), 3),
        (Vpc(nat="none"), 0),
        (Vpc(nat="per-zone", subnets=Subnets(private=("subnet-1", "subnet-2"))), 0),
    ],
)
def test_nat_gateways_are_counted_as_they_will_be_created(vpc: Vpc, gateways: int) -> None:
    found = [item for item in lines(cluster(vpc=vpc)) if "NAT" in item]
    assert found == ([f"{gateways} x NAT gateway"] if gateways else [])


def test_nodes_in_public_subnets_pay_for_their_addresses() -> None:
    groups = (NodeGroup(name="edge", subnets="public", desired=3),)
    assert lines(cluster(vpc=Vpc(nat="none"), node_groups=groups))["3 x public IPv4 address"] == 10.95


@pytest.mark.parametrize(
    ("kind", "hourly"),
    [
        ("t3.micro", 0.0104),
        ("c7g.medium", 0.03625),
        ("m6i.32xlarge", 6.144),
        ("r7i.48xlarge", 12.7008),
        ("m7i-flex.8xlarge", 1.53216),
    ],
)
def test_the_sizes_of_a_family_cost_what_aws_lists(kind: str, hourly: float) -> None:
    """The numbers are AWS's own for us-east-1, rounded to a thousandth."""
    asked = cluster(region="us-east-1", node_groups=(NodeGroup(name="a", instance_types=(kind,)),))
    assert prices.bundled(asked).instances[kind] == pytest.approx(hourly, abs=0.001)


@pytest.mark.parametrize("kind", ["p5.48xlarge", "m7i.metal-24xl", "m7i.huge", "nonsense"])
def test_an_unknown_instance_type_has_no_price(kind: str) -> None:
    asked = cluster(node_groups=(NodeGroup(name="a", instance_types=(kind,)),))
    found = estimate(asked, prices.bundled(asked))
    assert not found.complete
    assert f"the price of {kind} in this region is not known here" in {line.note for line in found.lines}


def test_an_unknown_region_has_a_control_plane_and_question_marks(golden: Callable[[str, str], None]) -> None:
    asked = cluster(region="mx-central-1")
    golden("eks/estimate-unknown-region.txt", estimate_text(estimate(asked, prices.bundled(asked))))


def test_regions_with_another_currency_have_no_prices() -> None:
    assert set(lines(cluster(region="cn-north-1")).values()) == {None}


def test_the_estimate_reads_well(golden: Callable[[str, str], None]) -> None:
    groups = (
        NodeGroup(name="workers"),
        NodeGroup(name="batch", capacity="spot", instance_types=("m7i.large", "m7a.large"), desired=4),
    )
    asked = cluster(kubernetes="1.32", node_groups=groups)
    golden("eks/estimate.txt", estimate_text(estimate(asked, prices.bundled(asked), extended=True)))


def test_live_prices_are_those_of_the_pricing_api(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Pricing API can be had here (moto answers 500): a server that says what AWS's documentation shows."""
    products = {
        "EUC1-AmazonEKS-Hours:perCluster": "0.1000000000",
        "EUC1-AmazonEKS-Hours:extendedSupport": "0.5000000000",
        "EUC1-NatGateway-Hours": "0.0600000000",
        "EUC1-NatGateway-Bytes": "0.0520000000",
        "EUC1-BoxUsage:m7i.large": "0.1300000000",
    }
    with pricing_api(products) as (address, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        found = prices.live(cluster(), account_of(cluster()))
    assert (found.nat, found.instances["m7i.large"], found.control_plane) == (0.06, 0.13, 0.1)
    assert found.gp3 == 0.0952, "what the API does not name keeps the list price"
    assert all(
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "eu-central-1"} in one["Filters"]
        for one in asked
    )


@contextmanager
def pricing_api(products: dict[str, str]) -> Iterator[tuple[str, list[Any]]]:
    asked: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            price = [
                json.dumps(
                    {
                        "product": {"attributes": {"usagetype": usage}},
                        "terms": {
                            "OnDemand": {"a": {"priceDimensions": {"b": {"pricePerUnit": {"USD": usd}}}}}
                        },
                    }
                )
                for usage, usd in products.items()
            ]
            body = json.dumps({"FormatVersion": "aws_v1", "PriceList": price}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to log."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
