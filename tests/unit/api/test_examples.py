"""The examples of the OpenAPI document are answers as the models describe them."""

from typing import Any

import pytest
from pydantic import BaseModel

from postloop.api import examples
from postloop.api.application import openapi_document
from postloop.api.domain_models import DomainAnswer, DomainPage
from postloop.api.routes.status import StatusAnswer
from postloop.contracts.message import MessageAnswerV1, MessagePageV1
from postloop.settings import Settings


@pytest.mark.parametrize(
    ("example", "model"),
    [
        pytest.param(examples.MESSAGE, MessageAnswerV1, id="message"),
        pytest.param(examples.MESSAGES, MessagePageV1, id="messages"),
        pytest.param(examples.DOMAINS, DomainPage, id="domains"),
        pytest.param(examples.DOMAIN, DomainAnswer, id="domain"),
        pytest.param(examples.STATUS, StatusAnswer, id="status"),
    ],
)
def test_an_example_is_an_answer(example: dict[str, Any], model: type[BaseModel]) -> None:
    assert model.model_validate(example).model_dump(mode="json") == example


@pytest.mark.parametrize(
    "path",
    ["/v1/messages", "/v1/messages/{message_id}", "/v1/domains", "/v1/domains/{sender_domain}", "/v1/status"],
)
def test_a_route_has_an_example(path: str) -> None:
    answers = openapi_document(Settings())["paths"][path]["get"]["responses"]
    assert answers["200"]["content"]["application/json"]["example"]
    assert {"401", "422", "503"} <= answers.keys()
