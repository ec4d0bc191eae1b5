"""Requests made from the OpenAPI document: none breaks the API, and every answer is one that the document promises."""

from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api import ApiServer

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def document(api: ApiServer) -> Any:
    schema = schemathesis.openapi.from_dict(api.app.openapi())
    schema.config.update(base_url=api.url)
    return schema


described = schemathesis.pytest.from_fixture("document")


@described.parametrize()
@hypothesis.settings(max_examples=20, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
def test_no_request_breaks_it(case: schemathesis.Case, api: ApiServer) -> None:
    key = str(api.as_operator().headers["Authorization"])
    case.call_and_validate(checks=CHECKS, headers={"Authorization": key})


def test_the_document_is_openapi_3_1_with_examples_and_is_given_out(api: ApiServer) -> None:
    document = api.nobody.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                model = document["components"]["schemas"].get(
                    body["schema"].get("$ref", "").split("/")[-1], {}
                )
                assert body.get("examples") or model.get("examples"), path
