from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provision.errors import FileError
from provision.providers.eks.aws.account import account_of
from provision.providers.eks.operations.observe import read_identity
from tests.unit.providers.eks import factories

if TYPE_CHECKING:
    from tests.aws.account import AwsAccount


def test_a_client_is_created_once_per_region_and_retry_mode() -> None:
    account = account_of(factories.cluster())
    assert account.client("ec2") is account.client("ec2")
    assert account.client("pricing", region="us-east-1").meta.region_name == "us-east-1"
    assert account.client("ec2", once=True) is not account.client("ec2")
    assert account.client("ec2", once=True).meta.config.retries["total_max_attempts"] == 1  # type: ignore[attr-defined]


def test_credentials_are_read_again_for_every_step(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    account = account_of(factories.cluster())
    assert read_identity(account).arn == aws.user_arn
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHER0KEY00000")

    renewed = account.renewed()

    assert renewed.session.get_credentials().access_key == "AKIAANOTHER0KEY00000"  # type: ignore[union-attr]
    assert renewed.region == account.region


def test_an_unknown_profile_is_an_error_of_the_file(aws: AwsAccount) -> None:
    assert aws.region
    with pytest.raises(FileError, match="profile production is in neither"):
        account_of(factories.cluster(profile="production"))
