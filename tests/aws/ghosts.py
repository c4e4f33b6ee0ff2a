"""Orphans that a cluster creates and leaves behind: load balancers, security groups, interfaces, volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.aws.eks.rules import ec2_of

if TYPE_CHECKING:
    from tests.aws.account import OperatorSession
    from tests.aws.eks.resources import Cluster
    from tests.aws.gate import Gate


class Ghosts:
    """Every public method creates one kind of orphan of a cluster and returns its id, ARN or name."""

    def __init__(self, gate: Gate, operator: OperatorSession) -> None:
        self._gate, self._operator = gate, operator

    def _cluster(self, name: str) -> Cluster:
        return self._gate.eks(self._operator.region).cluster(name)

    def _network(self, name: str) -> tuple[str, list[str]]:
        config = self._cluster(name).body["resourcesVpcConfig"]
        return config["vpcId"], config["subnetIds"]

    def security_group(self, cluster: str, name: str = "k8s-elb-web") -> str:
        """A load balancer's group, owned by the cluster; the nodes' group refers to it."""
        ec2 = self._operator.client("ec2")
        vpc, _ = self._network(cluster)
        own: str = ec2.create_security_group(
            GroupName=name,
            Description=f"Security group for Kubernetes ELB {name}",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": _tags({_owned(cluster): "owned"})}],
        )["GroupId"]
        nodes = self._cluster(cluster).body["resourcesVpcConfig"]["clusterSecurityGroupId"]
        rule = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": own}]}
        ec2.authorize_security_group_ingress(GroupId=nodes, IpPermissions=[rule])
        return own

    def classic_load_balancer(self, cluster: str, name: str = "a0123456789abcdef") -> str:
        """Of a Service of type LoadBalancer: the balancer with its group and an interface."""
        group = self.security_group(cluster, f"k8s-elb-{name}")
        _, subnets = self._network(cluster)
        self._operator.client("elb").create_load_balancer(
            LoadBalancerName=name,
            Listeners=[{"Protocol": "TCP", "LoadBalancerPort": 80, "InstancePort": 30080}],
            Subnets=subnets[:2],
            SecurityGroups=[group],
            Tags=_tags({_owned(cluster): "owned", "kubernetes.io/service-name": "default/web"}),
        )
        self._hold(cluster, f"ELB {name}", group)
        return name

    def load_balancer(self, cluster: str, name: str = "k8s-default-web") -> str:
        """Of the AWS load balancer controller: ELBv2 with target group, security group and interface; its ARN."""
        group = self.security_group(cluster, f"{name}-sg")
        vpc, subnets = self._network(cluster)
        tags = _tags({"elbv2.k8s.aws/cluster": cluster, "service.k8s.aws/stack": "default/web"})
        elb = self._operator.client("elbv2")
        made = elb.create_load_balancer(
            Name=name, Subnets=subnets[:2], SecurityGroups=[group], Type="application", Tags=tags
        )
        arn: str = made["LoadBalancers"][0]["LoadBalancerArn"]
        target = elb.create_target_group(Name=f"{name}-tg", Protocol="HTTP", Port=80, VpcId=vpc, Tags=tags)
        target_arn = target["TargetGroups"][0]["TargetGroupArn"]
        actions = [{"Type": "forward", "TargetGroupArn": target_arn}]
        elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=actions)
        self._hold(cluster, f"ELB app/{name}/{arn.rpartition('/')[2]}", group)
        return arn

    def _hold(self, cluster: str, description: str, group: str) -> None:
        """Add the balancer's interface, which disappears some describe calls after the balancer."""
        with self._gate.lock:
            eks = self._gate.eks(self._operator.region)
            _, subnets = self._network(cluster)
            made = ec2_of(eks).create_network_interface(
                ec2_of(eks).get_subnet(subnets[0]), [], group_ids=[group], description=description
            )
            made.status = "in-use"

    def interface(self, cluster: str) -> str:
        """An interface of the VPC CNI whose node was deleted: available, in the cluster's security group."""
        with self._gate.lock:
            ec2 = ec2_of(self._gate.eks(self._operator.region))
            config = self._cluster(cluster).body["resourcesVpcConfig"]
            made = ec2.create_network_interface(
                ec2.get_subnet(config["subnetIds"][0]),
                [],
                group_ids=[config["clusterSecurityGroupId"]],
                description="aws-K8S-i-0123456789abcdef0",
                tags={f"kubernetes.io/cluster/{cluster}": "owned", "cluster.k8s.amazonaws.com/name": cluster},
            )
            return str(made.id)

    def volume(self, cluster: str, claim: str = "data-db-0") -> str:
        """A volume of a PersistentVolumeClaim, created by the EBS CSI driver; not attached."""
        _, subnets = self._network(cluster)
        ec2 = self._operator.client("ec2")
        zone = ec2.describe_subnets(SubnetIds=subnets[:1])["Subnets"][0]["AvailabilityZone"]
        tags = {
            _owned(cluster): "owned",
            "ebs.csi.aws.com/cluster": "true",
            "kubernetes.io/created-for/pvc/name": claim,
            "kubernetes.io/created-for/pvc/namespace": "default",
        }
        spec = [{"ResourceType": "volume", "Tags": _tags(tags)}]
        made = ec2.create_volume(AvailabilityZone=zone, Size=10, VolumeType="gp3", TagSpecifications=spec)
        return str(made["VolumeId"])


def _owned(cluster: str) -> str:
    return f"kubernetes.io/cluster/{cluster}"


def _tags(tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
