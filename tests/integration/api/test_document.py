"""Requests made from the OpenAPI document: none breaks the API, and every answer is one that the document promises."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import hypothesis
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
EXAMPLES = 10


def operations(api: ApiServer) -> Iterator[Any]:
    document = schemathesis.openapi.from_dict(api.app.openapi())
    document.config.update(base_url=api.url)
    for found in document.get_all_operations():
        yield found.ok()


def test_no_request_made_from_the_document_breaks_it(api: ApiServer) -> None:
    key = str(api.as_operator().headers["Authorization"])
    asked = set()
    for operation, mode in itertools.product(operations(api), schemathesis.GenerationMode):

        @hypothesis.settings(max_examples=EXAMPLES, suppress_health_check=list(hypothesis.HealthCheck))
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def requests(case: schemathesis.Case) -> None:
            asked.add(case.operation.label)
            case.call_and_validate(checks=CHECKS, headers={"Authorization": key})

        # A request without any part that could be wrong cannot be made wrong.
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            requests()
    assert {"POST /v1/events", "GET /v1/blocklist/{recipient}"} <= asked


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
