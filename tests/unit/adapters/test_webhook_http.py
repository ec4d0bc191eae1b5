"""One attempt against real servers that behave badly in every way; loopback is opened where they listen."""

import asyncio
import dataclasses
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohappyeyeballs import AddrInfoType

from postloop.adapters.tls import tls_context
from postloop.adapters.webhook_connection import ForbiddenAddressError, Guard, Opener
from postloop.adapters.webhook_http import WebhookSender
from postloop.adapters.webhook_keys import generate_secret, signer_of
from postloop.adapters.webhook_line import USER_AGENT, Destination, Limits
from postloop.adapters.webhook_lookup import LookupFailedError, SystemLookup
from postloop.adapters.webhook_result import AttemptResult
from postloop.client import verify_webhook
from postloop.domain.errors import DataError
from postloop.domain.webhook.addresses import parse_networks
from postloop.domain.webhook.target import parse_target
from tests.support.certificates import Authority
from tests.support.webhook_servers import Names, Receiver, answer, served

LOOPBACK = parse_networks(["127.0.0.0/8", "::1/128"])
SECRET = generate_secret()
SIGNERS = [signer_of(SECRET)]
BODY = '{"type":"email.bounced","data":{"reason":"ungültig"}}'.encode()
# A deadline that a slow machine keeps for what is quick and that a test can wait for.
SHORT = Limits(deadline_s=0.4, connect_s=0.3, lookup_s=0.2)


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    async with WebhookSender() as made:
        yield made


def to(url: str, **more: object) -> Destination:
    return Destination(endpoint_id="ep_1", target=parse_target(url), allowed=LOOPBACK, **more)  # type: ignore[arg-type]


async def send(sender: WebhookSender, destination: Destination, body: bytes = BODY) -> AttemptResult:
    return await sender.send(destination, message_id="msg_1", body=body, signers=SIGNERS)


async def test_the_receiver_gets_the_signed_bytes_and_can_verify_them(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200, b"thanks"))) as receiver:
        result = await send(
            sender,
            to(
                receiver.url,
                headers={"Authorization": "Bearer t", "user-agent": "x", "Webhook-Signature": "v1,x"},
            ),
        )
    [request] = receiver.requests
    assert result.is_success
    assert (result.status, result.answer, result.is_cut, result.error) == (200, b"thanks", False, "")
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["authorization"] == "Bearer t"
    assert request.headers["user-agent"] == USER_AGENT
    assert request.headers["accept-encoding"] == "identity"
    assert verify_webhook(request.headers, request.body, SECRET).body == BODY


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_200_to_299_is_success(sender: WebhookSender, status: int) -> None:
    async with served(lambda r: r.answering(answer(status))) as receiver:
        assert (await send(sender, to(receiver.url))).is_success


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 429, 500, 503, 599])
async def test_every_other_status_is_an_answer_and_no_success(sender: WebhookSender, status: int) -> None:
    async with served(lambda r: r.answering(answer(status))) as receiver:
        result = await send(sender, to(receiver.url))
    assert (result.status, result.error, result.is_success) == (status, "", False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(sender: WebhookSender, status: int) -> None:
    async with served(lambda r: r.answering(answer(200))) as elsewhere:
        moved = answer(status, Location=f"http://127.0.0.1:{elsewhere.port}/")
        async with served(lambda r: r.answering(moved)) as receiver:
            result = await send(sender, to(receiver.url))
    assert (result.status, result.is_success) == (status, False)
    assert elsewhere.connection_count == 0


@pytest.mark.parametrize(
    "text", ["120", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", "junk", "1000000000", "x" * 64], ids=str
)
async def test_retry_after_is_handed_on_as_it_came(sender: WebhookSender, text: str) -> None:
    async with served(lambda r: r.answering(answer(503, Retry_After=text))) as receiver:
        result = await send(sender, to(receiver.url))
    assert (result.status, result.retry_after) == (503, text)


async def test_a_retry_after_without_end_is_cut(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(429, Retry_After="9" * 5_000))) as receiver:
        assert len((await send(sender, to(receiver.url))).retry_after) == 64


async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless_continue(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("behave", "status"),
    [
        pytest.param(hang, 0, id="no-answer"),
        pytest.param(drip_headers, 0, id="a-byte-of-the-headers-at-a-time"),
        pytest.param(drip_body, 200, id="a-byte-of-the-body-at-a-time"),
        pytest.param(endless_continue, 0, id="100-continue-for-ever"),
    ],
)
async def test_the_deadline_ends_an_attempt_that_is_drawn_out(behave: object, status: int) -> None:
    async with served(lambda r: behave) as receiver, WebhookSender(SHORT) as sender:  # type: ignore[arg-type, return-value]
        result = await send(sender, to(receiver.url))
        await asyncio.wait_for(receiver.is_ended.wait(), 5) if behave is not hang else None
    assert (result.error, result.status, result.is_success) == ("timeout", status, False)
    assert 400 <= result.latency_ms < 3_000


async def test_an_endless_body_is_cut_and_its_connection_closed_while_memory_stays_flat(
    sender: WebhookSender,
) -> None:
    def endless(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
            while True:
                writer.write(chunk)
                await writer.drain()
                receiver.sent_bytes += 65_536

        return behave

    async with served(endless) as receiver:
        tracemalloc.start()
        result = await send(sender, to(receiver.url))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await asyncio.wait_for(receiver.is_ended.wait(), 5)
    assert (result.is_success, result.is_cut, len(result.answer)) == (True, True, 16_384)
    assert peak_bytes < 8_000_000
    assert receiver.sent_bytes < 20_000_000


async def test_an_answer_of_exactly_the_limit_is_not_cut(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200, b"x" * 16_384))) as receiver:
        result = await send(sender, to(receiver.url))
    assert (len(result.answer), result.is_cut) == (16_384, False)


async def test_a_gzip_bomb_is_not_unpacked(sender: WebhookSender) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)[:16_000]
    async with served(lambda r: r.answering(answer(200, bomb, Content_Encoding="gzip"))) as receiver:
        result = await send(sender, to(receiver.url))
    assert result.answer == bomb


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", id="no-http"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", id="large-header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
            id="many-headers",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two-lengths",
        ),
    ],
)
async def test_what_is_no_http_is_a_bad_answer(sender: WebhookSender, raw: bytes) -> None:
    async with served(lambda r: r.answering(raw)) as receiver:
        result = await send(sender, to(receiver.url))
    assert (result.error, result.is_success) == ("bad_answer", False)


def resetting(receiver: Receiver):  # type: ignore[no-untyped-def]
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.read(reader)
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )  # RST instead of FIN
        writer.transport.abort()

    return behave


async def test_a_reset_is_a_lost_connection_and_not_tried_twice_in_one_attempt(sender: WebhookSender) -> None:
    async with served(resetting) as receiver:
        result = await send(sender, to(receiver.url))
    assert (result.error, receiver.connection_count) == ("connection_lost", 1)


async def test_an_answer_that_ends_early_is_a_lost_connection(sender: WebhookSender) -> None:
    def short(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            await writer.drain()

        return behave

    async with served(short) as receiver:
        result = await send(sender, to(receiver.url))
    assert (result.error, result.status, result.is_success) == ("connection_lost", 200, False)


async def test_a_closed_port_is_a_failed_connection(sender: WebhookSender) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        result = await send(sender, to(f"http://127.0.0.1:{bound.getsockname()[1]}/"))
    assert (result.error, result.reason) == ("connect_failed", "the connection was refused")


async def test_a_connection_is_used_again_and_cookies_are_not_kept(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200, b"ok", Set_Cookie="a=b; Path=/"))) as receiver:
        for _ in range(3):
            assert (await send(sender, to(receiver.url))).is_success
    assert receiver.connection_count == 1
    assert all("cookie" not in request.headers for request in receiver.requests)


async def test_two_endpoints_at_one_host_share_no_connection(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200))) as receiver:
        first = to(receiver.url)
        for destination in (first, dataclasses.replace(first, endpoint_id="ep_2"), first):
            assert (await send(sender, destination)).is_success
    assert receiver.connection_count == 2


async def test_a_kept_connection_that_the_receiver_has_closed_costs_no_attempt(sender: WebhookSender) -> None:
    """The receiver reads the second request on a connection and closes it, as one does whose idle time is over."""

    def closing(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            writer.write(answer(200))
            await receiver.read(reader)

        return behave

    async with served(closing) as receiver:
        results = [await send(sender, to(receiver.url)) for _ in range(2)]
    assert [result.status for result in results] == [200, 200]
    assert receiver.connection_count == 2


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(200) + answer(500), id="two-answers"),
        pytest.param(answer(200) + b"\r\n", id="a-blank-line"),
        pytest.param(b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nabcde", id="a-body-that-cannot-be"),
        pytest.param(answer(200, Connection="close"), id="it-says-so"),
        pytest.param(b"HTTP/1.0 200 X\r\nContent-Length: 0\r\n\r\n", id="http-1.0"),
        pytest.param(answer(200, b"x" * 20_000), id="cut"),
    ],
)
async def test_a_connection_with_something_behind_the_answer_is_not_used_again(
    sender: WebhookSender, said: bytes
) -> None:
    async with served(lambda r: r.answering(said)) as receiver:
        results = [await send(sender, to(receiver.url)) for _ in range(2)]
    assert all(result.is_success for result in results)
    assert receiver.connection_count == 2


async def test_an_answer_that_comes_unasked_is_not_that_of_the_next_request(sender: WebhookSender) -> None:
    def eager(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            writer.write(answer(500 if receiver.connection_count == 1 else 200))
            await asyncio.sleep(0.02)
            writer.write(answer(200))  # for a request that was not made
            await reader.read()

        return behave

    async with served(eager) as receiver:
        first = await send(sender, to(receiver.url))
        await asyncio.wait_for(receiver.is_ended.wait(), 5)
        second = await send(sender, to(receiver.url))
    assert (first.status, second.status, receiver.connection_count) == (500, 200, 2)
    assert len(receiver.requests) == 2


async def test_a_receiver_that_does_not_read_is_ended_by_the_deadline() -> None:
    body = b'{"x":"' + b"x" * 20_000_000 + b'"}'
    async with served(lambda r: hang) as receiver, WebhookSender(SHORT) as sender:
        result = await send(sender, to(receiver.url), body)
        line = sender._lines["ep_1"]
    assert (result.error, result.status) == ("timeout", 0)
    assert not line._connections and not line._idle


async def test_an_answer_before_the_request_was_read_counts_and_its_connection_is_not_used_again() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(413))
        await asyncio.Event().wait()

    body = b'{"x":"' + b"x" * 20_000_000 + b'"}'
    async with served(lambda r: hasty) as receiver, WebhookSender() as sender:
        results = [await send(sender, to(receiver.url), body) for _ in range(2)]
    assert [result.status for result in results] == [413, 413]
    assert receiver.connection_count == 2


async def test_half_an_answer_on_a_kept_connection_is_a_lost_connection_and_not_tried_again(
    sender: WebhookSender,
) -> None:
    def halving(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await receiver.read(reader)
            writer.write(answer(200))
            await receiver.read(reader)
            writer.write(b"HTTP/1.1 2")

        return behave

    async with served(halving) as receiver:
        results = [await send(sender, to(receiver.url)) for _ in range(2)]
    assert [result.error for result in results] == ["", "connection_lost"]
    assert (receiver.connection_count, len(receiver.requests)) == (1, 2)


async def test_the_connection_of_a_cancelled_attempt_is_not_used_again(sender: WebhookSender) -> None:
    def late(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await receiver.read(reader)
                if len(receiver.requests) == 2:
                    await asyncio.Event().wait()
                writer.write(answer(200))

        return behave

    async with served(late) as receiver:
        assert (await send(sender, to(receiver.url))).is_success
        given_up = asyncio.create_task(send(sender, to(receiver.url)))
        while len(receiver.requests) < 2:
            await asyncio.sleep(0.005)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert (await send(sender, to(receiver.url))).is_success
    assert receiver.connection_count == 2


async def test_a_connection_that_nobody_uses_is_closed() -> None:
    async with (
        served(lambda r: r.answering(answer(200))) as receiver,
        WebhookSender(Limits(idle_s=0.05)) as sender,
    ):
        assert (await send(sender, to(receiver.url))).is_success
        await asyncio.wait_for(receiver.is_ended.wait(), 5)
        assert not sender._lines["ep_1"]._connections


async def test_as_many_connections_are_kept_as_were_used_at_once(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200))) as receiver:
        for _ in range(3):
            results = await asyncio.gather(*(send(sender, to(receiver.url)) for _ in range(5)))
            assert all(result.is_success for result in results)
    assert receiver.connection_count == 5


async def test_the_next_address_is_tried_when_one_takes_no_connection() -> None:
    async with (
        served(lambda r: r.answering(answer(200))) as receiver,
        WebhookSender(lookup=Names(["127.0.0.2", "::1", "127.0.0.1"])) as sender,
    ):
        assert (await send(sender, to(f"http://h.example:{receiver.port}/"))).is_success


async def test_the_next_address_is_tried_when_tls_fails_at_one(authority: Authority) -> None:
    context = authority.server_context("h.example")
    async with served(lambda r: r.answering(answer(200)), tls=context) as good:
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.2", good.port)
        async with (
            server,
            WebhookSender(lookup=Names(["127.0.0.2", "127.0.0.1"]), ca_file=authority.ca_file) as sender,
        ):
            assert (await send(sender, to(f"https://h.example:{good.port}/"))).is_success


async def test_an_old_connection_is_not_used_again() -> None:
    async with (
        served(lambda r: r.answering(answer(200))) as receiver,
        WebhookSender(Limits(age_s=0.0)) as sender,
    ):
        for _ in range(2):
            assert (await send(sender, to(receiver.url))).is_success
    assert receiver.connection_count == 2


async def test_connections_of_the_endpoint_used_longest_ago_are_given_up() -> None:
    async with (
        served(lambda r: r.answering(answer(200))) as receiver,
        WebhookSender(Limits(endpoint_count=2)) as sender,
    ):
        for number in (1, 2, 3, 3, 2, 1):
            destination = dataclasses.replace(to(receiver.url), endpoint_id=f"ep_{number}")
            assert (await send(sender, destination)).is_success
    assert receiver.connection_count == 4


async def test_an_attempt_under_way_ends_though_its_endpoint_was_changed(sender: WebhookSender) -> None:
    may_answer = asyncio.Event()

    def waiting(receiver: Receiver):  # type: ignore[no-untyped-def]
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await receiver.read(reader)
            if "old" in request.line:
                await may_answer.wait()
            writer.write(answer(200))
            await writer.drain()

        return behave

    async with served(waiting) as receiver:
        old = asyncio.create_task(send(sender, to(receiver.url + "?old")))
        while not receiver.requests:
            await asyncio.sleep(0.005)
        assert (await send(sender, to(receiver.url + "?new"))).is_success
        may_answer.set()
        assert (await old).is_success


async def test_closing_the_sender_ends_attempts_under_way_also_those_of_a_changed_endpoint() -> None:
    async with served(lambda r: hang) as receiver, WebhookSender() as sender:
        attempts = []
        for query in ("?old", "?new"):
            attempts.append(asyncio.create_task(send(sender, to(receiver.url + query))))
            while receiver.connection_count < len(attempts):
                await asyncio.sleep(0.005)
        await sender.close()
        results = await asyncio.wait_for(asyncio.gather(*attempts), 5)
    assert [result.is_success for result in results] == [False, False]


async def test_a_proxy_of_the_environment_is_not_asked(
    sender: WebhookSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(lambda r: r.answering(answer(200))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with served(lambda r: r.answering(answer(200))) as receiver:
            assert (await send(sender, to(receiver.url))).is_success
    assert proxy.connection_count == 0


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(("X-A", "b\r\nX-Injected: c"), id="lines-in-value"),
        pytest.param(("X-A", "b\nX-Injected: c"), id="line-in-value"),
        pytest.param(("X-A: b\r\nX-Injected", "c"), id="lines-in-name"),
        pytest.param(("X-A", "b\0c"), id="nul"),
        pytest.param(("X A", "b"), id="blank-in-name"),
        pytest.param(("", "b"), id="no-name"),
        pytest.param(("transfer-Encoding", "chunked"), id="chunked"),
        pytest.param(("Content-Length", "1"), id="length"),
        pytest.param(("Connection", "close"), id="connection"),
    ],
)
async def test_a_header_that_would_begin_another_or_frame_the_request_is_not_sent(
    sender: WebhookSender, header: tuple[str, str]
) -> None:
    async with served(lambda r: r.answering(answer(200))) as receiver:
        result = await send(sender, to(receiver.url, headers=dict([header])))
    assert (result.error, receiver.requests) == ("internal", [])


async def test_an_id_or_secrets_that_cannot_be_used_are_the_callers_mistake(sender: WebhookSender) -> None:
    with pytest.raises(DataError, match="one secret at least"):
        await sender.send(to("http://127.0.0.1:9/"), message_id="msg_1", body=BODY, signers=[])


# Where a request may go.


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def closed_to_private(url: str) -> Destination:
    return dataclasses.replace(to(url), allowed=())


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(["127.0.0.1"], id="private"),
        pytest.param(["8.8.8.8", "127.0.0.1"], id="mixed"),
        pytest.param(["::1"], id="ipv6"),
        pytest.param(["::ffff:127.0.0.1"], id="mapped"),
        pytest.param(["64:ff9b::7f00:1"], id="nat64"),
        pytest.param(["169.254.169.254"], id="metadata"),
    ],
)
async def test_a_name_that_leads_inside_is_not_connected_to(answers: list[str]) -> None:
    # Some other network is open, so that the port of the test is no reason to refuse before the lookup.
    other = parse_networks(["10.9.0.0/16"])
    async with served(lambda r: r.answering(answer(200))) as receiver:
        destination = dataclasses.replace(to(f"http://h.example:{receiver.port}/"), allowed=other)
        async with WebhookSender(lookup=Names(answers)) as sender:
            result = await send(sender, destination)
    assert (result.error, result.status) == ("forbidden_address", 0)
    assert receiver.connection_count == 0
    assert not any(text in result.reason for text in answers)


def opener_to(url: str, kind: type[Opener] = Opener) -> Opener:
    guard = Guard(parse_target(url), ())
    return kind(
        guard, Names(["127.0.0.1"]), tls=tls_context(None), connect_s=1, lookup_s=1, kept_bytes=16_384
    )


async def test_no_socket_is_made_for_a_refused_address_whoever_resolved_it() -> None:
    async with served(lambda r: r.answering(answer(200))) as receiver:
        with pytest.raises(ForbiddenAddressError):
            await opener_to(receiver.url).connect([ip_address("127.0.0.1")])
    assert receiver.connection_count == 0


class Careless(Opener):
    """Opens sockets that go anywhere."""

    def _judged_socket(self, info: AddrInfoType) -> socket.socket:
        return socket.socket(info[0], info[1], info[2])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_is_written_to_a_peer_that_is_refused(scheme: str) -> None:
    seen = bytearray()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read())

    async with served(lambda r: note) as receiver:
        opener = opener_to(f"{scheme}://127.0.0.1:{receiver.port}/", Careless)
        with pytest.raises(ForbiddenAddressError):
            await opener.connect([ip_address("127.0.0.1")])
        await asyncio.wait_for(receiver.is_ended.wait(), 5)
    assert (receiver.connection_count, seen) == (1, b"")


async def test_a_name_that_turns_private_after_it_was_checked_is_not_connected_to(
    authority: Authority,
) -> None:
    """Rebinding: the opened network holds the first answer and not the second; the port is the same for both."""
    names = Names(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.2"])
    closing = answer(200, Connection="close")
    async with served(lambda r: r.answering(closing), host="0.0.0.0") as receiver:
        url = f"http://h.example:{receiver.port}/"
        only_one = parse_networks(["127.0.0.1/32"])
        async with WebhookSender(lookup=names) as sender:
            await sender.check(url, allowed=only_one)
            destination = dataclasses.replace(to(url), allowed=only_one)
            results = [await send(sender, destination) for _ in range(3)]
    assert [result.error for result in results] == ["", "forbidden_address", "forbidden_address"]
    assert receiver.connection_count == 1
    assert len(names.asked) == 4


@pytest.mark.parametrize("url", ["https://127.0.0.1:8443/", "https://[::1]/", "https://[::ffff:127.0.0.1]/"])
async def test_a_literal_is_judged_though_no_lookup_happens(url: str) -> None:
    names = Names(["8.8.8.8"])
    async with WebhookSender(lookup=names) as sender:
        result = await send(sender, closed_to_private(url))
    assert (result.error, names.asked) == ("forbidden_address", [])


async def test_a_permission_that_was_withdrawn_closes_kept_connections_too(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200))) as receiver:
        destination = to(receiver.url)
        assert (await send(sender, destination)).is_success
        result = await send(sender, dataclasses.replace(destination, allowed=()))
    assert (result.error, len(receiver.requests)) == ("forbidden_address", 1)


@pytest.mark.parametrize(
    ("url", "names", "code"),
    [
        pytest.param("https://h.example/", Names(["10.0.0.1"]), "private_network", id="private"),
        pytest.param("https://h.example/", Names(["8.8.8.8", "10.0.0.1"]), "private_network", id="mixed"),
        pytest.param("http://h.example/", Names(["8.8.8.8"]), "not_https", id="http"),
        pytest.param("https://h.example:22/", Names(["8.8.8.8"]), "port_refused", id="port"),
        pytest.param("https://169.254.169.254/", Names(["8.8.8.8"]), "metadata_service", id="literal"),
        pytest.param("https://h.example/", Names([]), "no_address", id="no-address"),
    ],
)
async def test_what_would_not_be_sent_to_is_refused_at_create_and_update(
    url: str, names: Names, code: str
) -> None:
    async with WebhookSender(lookup=names) as sender:
        with pytest.raises(ForbiddenAddressError) as refused:
            await sender.check(url)
    assert refused.value.verdict.code == code


async def test_a_public_address_passes_the_check() -> None:
    async with WebhookSender(lookup=Names(["8.8.8.8", "2606:4700::1111"])) as sender:
        target = await sender.check("https://Hooks.example:443/a")
    assert target.url == "https://hooks.example/a"


async def test_who_does_not_exist_and_who_cannot_be_looked_up_are_two_things() -> None:
    gone, no_answer = LookupFailedError("gone", is_final=True), LookupFailedError("later", is_final=False)
    async with WebhookSender(lookup=Names(gone, no_answer, [])) as sender:
        results = [await send(sender, to("https://h.example/")) for _ in range(3)]
    assert [result.error for result in results] == ["dns_not_found", "dns_failed", "dns_not_found"]


async def test_a_lookup_that_hangs_ends_after_its_own_time() -> None:
    async def never(host: str) -> list[object]:
        await asyncio.Event().wait()
        return []

    async with WebhookSender(dataclasses.replace(SHORT, deadline_s=5.0), lookup=never) as sender:  # type: ignore[arg-type]
        result = await send(sender, to("https://h.example/"))
    assert result.error == "dns_failed"
    assert result.latency_ms < 2_000


async def test_the_systems_lookup_finds_loopback_and_not_what_does_not_exist() -> None:
    lookup = SystemLookup(threads=1)
    try:
        found = await asyncio.gather(lookup("localhost"), lookup("localhost"))
        assert all(address.is_loopback for addresses in found for address in addresses)
        with pytest.raises(LookupFailedError):
            await lookup("nothing.invalid")
    finally:
        lookup.close()


# TLS.


async def tls_result(
    authority: Authority, *, certificate: str, url_host: str, ca: bool = True
) -> AttemptResult:
    context = authority.server_context(certificate)
    async with (
        served(lambda r: r.answering(answer(200)), tls=context) as receiver,
        WebhookSender(lookup=Names(["127.0.0.1"]), ca_file=authority.ca_file if ca else None) as sender,
    ):
        result = await send(sender, to(f"https://{url_host}:{receiver.port}/"))
        assert result.is_success == bool(receiver.requests)
        return result


async def test_the_certificate_is_checked_for_the_name_in_the_url_not_for_the_address(
    authority: Authority,
) -> None:
    assert (await tls_result(authority, certificate="h.example", url_host="h.example")).is_success


async def test_an_international_name_is_asked_for_in_ascii_and_kept_connections_are_used(
    authority: Authority,
) -> None:
    asked = []
    context = authority.server_context("xn--mnchen-3ya.example")
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with (
        served(lambda r: r.answering(answer(200)), tls=context) as receiver,
        WebhookSender(lookup=Names(["127.0.0.1"]), ca_file=authority.ca_file) as sender,
    ):
        for _ in range(2):
            assert (await send(sender, to(f"https://m\u00fcnchen.example:{receiver.port}/"))).is_success
    assert asked == ["xn--mnchen-3ya.example"]
    assert receiver.requests[1].headers["host"] == f"xn--mnchen-3ya.example:{receiver.port}"


async def test_a_literal_of_ipv6_stands_in_brackets_in_host_and_without_in_the_certificate(
    authority: Authority,
) -> None:
    context = authority.server_context("::1")
    async with (
        served(lambda r: r.answering(answer(200)), host="::1", tls=context) as receiver,
        WebhookSender(ca_file=authority.ca_file) as sender,
    ):
        assert (await send(sender, to(f"https://[::1]:{receiver.port}/"))).is_success
    assert receiver.requests[0].headers["host"] == f"[::1]:{receiver.port}"


async def test_the_certificate_of_another_host_is_refused(authority: Authority) -> None:
    result = await tls_result(authority, certificate="other.example", url_host="h.example")
    assert (result.error, result.reason) == ("tls", "the certificate is made for another host")


async def test_a_certificate_that_nobody_trusts_is_refused(authority: Authority) -> None:
    result = await tls_result(authority, certificate="h.example", url_host="h.example", ca=False)
    assert (result.error, result.reason) == ("tls", "the certificate is not trusted")


async def test_a_port_without_tls_is_a_tls_failure(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(b"HTTP/1.1 400 X\r\n\r\n")) as receiver:

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        async with served(lambda r: plain) as receiver:
            result = await send(sender, to(f"https://127.0.0.1:{receiver.port}/"))
    assert result.error == "tls"


async def test_a_handshake_that_hangs_ends_after_the_time_of_a_connection() -> None:
    async with served(lambda r: hang) as receiver, WebhookSender(SHORT) as sender:
        result = await send(sender, to(f"https://127.0.0.1:{receiver.port}/"))
    assert result.error == "timeout"


async def test_no_result_shows_a_secret_a_body_or_the_answer(sender: WebhookSender) -> None:
    async with served(lambda r: r.answering(answer(200, b"private answer"))) as receiver:
        destination = to(receiver.url, headers={"Authorization": "Bearer hunter2"})
        result = await send(sender, destination)
    assert "private answer" not in repr(result)
    assert "hunter2" not in repr(destination)
