"""One blocklist worker and one API for the tests that only talk to them."""

from collections.abc import Iterator

import pytest

from tests.support.api import ApiServer
from tests.support.blocklist import BlocklistStack
from tests.support.brokers import Broker

CONTACT = "postmaster@platform.example"


@pytest.fixture(scope="package")
def stack(carrier: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlocklistStack]:
    directory = tmp_path_factory.mktemp("api")
    with BlocklistStack(carrier, directory=directory, operator_contact=CONTACT) as running:
        running.start()
        yield running


@pytest.fixture(scope="package")
def api(stack: BlocklistStack) -> Iterator[ApiServer]:
    with ApiServer(stack.settings) as server:
        yield server.wait_ready()
