"""The examples of the OpenAPI document are what the document itself describes, and what the models make."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel

from postloop.api import examples
from postloop.api.application import openapi_document
from postloop.api.blocklist_models import CheckAnswer, Report, Unblocked
from postloop.api.domain_models import DomainAnswer, DomainPage
from postloop.api.routes.events import Accepted
from postloop.api.routes.operations import HealthAnswer
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
        pytest.param(examples.UNBLOCKED, Unblocked, id="unblocked"),
        pytest.param(examples.ACCEPTED, Accepted, id="accepted"),
    ],
)
def test_an_example_is_an_answer(example: dict[str, Any], model: type[BaseModel]) -> None:
    assert model.model_validate(example).model_dump(mode="json") == example


@pytest.mark.parametrize(
    ("example", "model"),
    [
        pytest.param(examples.CHECKED, CheckAnswer, id="checked"),
        pytest.param(examples.BLOCKED, Report, id="blocked"),
        pytest.param(examples.READY, HealthAnswer, id="ready"),
        pytest.param(examples.NOT_READY, HealthAnswer, id="not ready"),
    ],
)
def test_an_example_is_an_answer_that_leaves_out_what_is_not_for_everybody(
    example: dict[str, Any], model: type[BaseModel]
) -> None:
    known = model.model_validate(example)
    assert (known.model_extra or {}) == {}
    assert known.model_dump(exclude_unset=True).keys() == example.keys()


@cache
def described() -> dict[str, Any]:
    return openapi_document(Settings())


def examples_of(content: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for named in content.get("examples", {}).values():
        yield named["value"]


def with_examples() -> Iterator[Any]:
    """Yield (schema, example) for every example of a request, an answer, a parameter or a model."""
    document = described()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            places = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for name, place in places.items():
                for content in place.get("content", {}).values():
                    for number, example in enumerate(examples_of(content)):
                        label = f"{method} {path} {name} {number}"
                        yield pytest.param(content.get("schema", False), example, id=label)
            for parameter in operation.get("parameters", ()):
                for example in parameter["schema"].get("examples", ()):
                    yield pytest.param(
                        parameter["schema"], example, id=f"{method} {path} {parameter['name']}"
                    )
    for name, schema in document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            yield pytest.param(schema, example, id=name)


@pytest.mark.parametrize(("schema", "example"), with_examples())
def test_an_example_is_what_the_document_describes(schema: Any, example: Any) -> None:
    assert schema, "an example of something that is not described"
    whole = {"allOf": [schema], "components": described()["components"]}  # where references point to
    errors = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(example)
    assert [error.message for error in errors] == []


def test_every_answer_with_json_has_a_schema_and_every_good_one_an_example() -> None:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for kind, content in answer.get("content", {}).items():
                    if path == "/metrics" or kind == "application/problem+json":
                        continue
                    assert content.get("schema"), (method, path, status)
                    assert status not in ("200", "202") or "example" in content, (method, path, status)


@pytest.mark.parametrize(
    "path",
    ["/v1/messages", "/v1/messages/{message_id}", "/v1/domains", "/v1/domains/{sender_domain}", "/v1/status"],
)
def test_a_route_has_an_example(path: str) -> None:
    answers = openapi_document(Settings())["paths"][path]["get"]["responses"]
    assert answers["200"]["content"]["application/json"]["example"]
    assert {"401", "422", "503"} <= answers.keys()
