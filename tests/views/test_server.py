"""The server answers its own page on this machine and nobody else: token, Host, Origin, paths, sizes, bad requests."""

import http.client
import json
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from exitless.cli.live import Bench
from exitless.errors import ExitlessError
from exitless.view.page import written
from exitless.view.server import LARGEST, Server, policy

BENCH = Bench("mail", [], ["apicv", "vtd-posted"], None, 2_000_000_000)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of 2 ms of the mail's host."""
    text = written(BENCH.simulate({}))
    answers = {
        "simulate": BENCH.simulate,
        "words": BENCH.words,
        "tour": BENCH.tour,
        "broken": lambda asked: asked["no"],
    }
    with Server(0, lambda: text, answers) as out:
        thread = Thread(target=out.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield out
        out.shutdown()
        thread.join()


def send(
    server: Server, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Send one request; Host is right unless a header says otherwise."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
    if body is not None:
        given.setdefault("Content-Length", str(len(body)))
        given.setdefault("Content-Type", "application/json")
    for name, value in given.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, {k.lower(): v for k, v in reply.getheaders()}, text


def post(server: Server, name: str, asked: Any) -> tuple[int, Any]:
    """Ask as the page does."""
    status, _, text = send(server, "POST", f"/{server.token}/{name}", json.dumps(asked).encode())
    return status, json.loads(text)


def test_the_page_comes_with_its_token_only(server: Server) -> None:
    status, headers, text = send(server, "GET", f"/{server.token}/")
    assert status == 200 and text.startswith("<!doctype html>")
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")
    for path in ("/", "/favicon.ico", f"/{server.token}", f"/{server.token[:-1]}/", f"/{server.token}x/", "//", "*"):
        assert send(server, "GET", path)[0] == 404, path


def test_tokens_are_long_and_new_each_time(server: Server) -> None:
    with Server(0, str, {}) as other:
        assert len(other.token) >= 20 and other.token != server.token
        assert other.address == f"http://127.0.0.1:{other.server_port}/{other.token}/"


@pytest.mark.parametrize(
    "path", ["../", "../../etc/passwd", "%2e%2e/", "page.css", "simulate/../", "..%5c", "\\", "a/b"]
)
def test_there_is_no_way_to_a_file(server: Server, path: str) -> None:
    assert send(server, "GET", f"/{server.token}/{path}")[0] == 404
    assert send(server, "POST", f"/{server.token}/{path}", b"{}")[0] == 404


@pytest.mark.parametrize("host", ["example.org", "example.org:{port}", "127.0.0.1:1", "0.0.0.0:{port}", ""])
def test_another_host_is_turned_away(server: Server, host: str) -> None:
    """A name that somebody else's DNS points at 127.0.0.1 must not open the page."""
    given = host.format(port=server.server_port)
    assert send(server, "GET", f"/{server.token}/", Host=given)[0] == 403
    assert send(server, "POST", f"/{server.token}/simulate", b"{}", Host=given)[0] == 403


def test_its_own_names_are_welcome(server: Server) -> None:
    for host in ("127.0.0.1", "localhost"):
        name = f"{host}:{server.server_port}"
        assert send(server, "GET", f"/{server.token}/", Host=name, Origin=f"http://{name}")[0] == 200


@pytest.mark.parametrize("origin", ["http://example.org", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"])
def test_another_origin_is_turned_away(server: Server, origin: str) -> None:
    given = origin.format(port=server.server_port)
    assert send(server, "POST", f"/{server.token}/simulate", b"{}", Origin=given)[0] == 403
    assert send(server, "GET", f"/{server.token}/", Sec_Fetch_Site="cross-site")[0] == 403


def test_large_and_unmeasured_bodies_are_turned_away(server: Server) -> None:
    path = f"/{server.token}/simulate"
    assert send(server, "POST", path, b"", Content_Length=str(LARGEST + 1))[0] == 413
    assert send(server, "POST", path, b"", Content_Length="-1")[0] == 411
    assert send(server, "POST", path, b"0\r\n\r\n", Transfer_Encoding="chunked", Content_Length="")[0] == 411
    assert send(server, "POST", path, b"{}", Content_Type="text/plain")[0] == 415
    assert send(server, "GET", f"/{server.token}/?{'q' * 70_000}")[0] == 414


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 9000, b'{"a":' * 3000])
def test_what_is_no_json_object_is_turned_away(server: Server, body: bytes) -> None:
    assert send(server, "POST", f"/{server.token}/simulate", body)[0] == 400


def test_other_methods_and_noise_end_in_a_sentence(server: Server) -> None:
    assert send(server, "PUT", f"/{server.token}/")[0] == 501
    assert send(server, "GET", f"/{server.token}/simulate")[0] == 404
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=20) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n")
        assert b"Traceback" not in raw.recv(4096)
    assert send(server, "GET", f"/{server.token}/")[0] == 200


def test_a_change_is_simulated(server: Server) -> None:
    status, said = post(server, "simulate", {"changes": {"load": 90}, "mechanisms": ["apicv"]})
    assert status == 200 and [r["name"] for r in said["records"]] == ["apicv"]
    assert said["live"]["values"]["load"] == 90 and said["live"]["base"]["load"] == 30
    _, quiet = post(server, "simulate", {"changes": {"load": 5}, "mechanisms": ["apicv"]})
    assert len(quiet["records"][0]["asserts"]) < len(said["records"][0]["asserts"])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"scenario": "mial"}, 'there is no scenario "mial" here; did you mean "mail"?'),
        ({"scenario": "../../secret.toml"}, 'there is no scenario "../../secret.toml" here'),
        ({"scenario": 7}, 'there is no scenario "7" here'),
        ({"changes": []}, "changes: expected a table"),
        ({"changes": {"moderation": 900}}, "moderation must be a whole number from 0 to 500 µs; got 900."),
        ({"changes": {"load": "x"}}, "load must be a whole number from 1 to 100 %; got x."),
        ({"changes": {"load": True}}, "load must be a whole number from 1 to 100 %; got True."),
        ({"changes": {"pin": 4}}, "pin must be a pCPU from 0 to 3; got 4."),
        ({"changes": {"speed": 4}}, 'there is no control "speed"'),
        ({"changes": {"costs": "../x"}}, 'costs: there is no cost table "../x"'),
        ({"mechanisms": ["apicw"]}, 'no such mechanism "apicw"; did you mean "apicv"?'),
        ({"mechanisms": "apicv"}, "mechanisms: expected a list of names"),
    ],
)
def test_a_bad_value_is_one_sentence(server: Server, asked: dict[str, Any], sentence: str) -> None:
    for name in ("simulate", "words", "tour") if "mechanisms" not in asked else ("simulate",):
        status, said = post(server, name, asked)
        assert status == 200 and sentence in said["error"] and said["error"].endswith((".", "?"))


def test_a_change_that_takes_too_long_is_refused() -> None:
    bench = Bench("mail", [], ["emulated"], None, 10_000_000_000)
    with pytest.raises(ExitlessError, match=r"emulated would take too long: [\d,]+ events by [\d.]+ ms of 10 ms"):
        bench.simulate({"changes": {"rate": 100, "load": 100, "frame": 64}})


def test_a_fault_of_ours_is_said_and_not_silence(server: Server) -> None:
    status, said = post(server, "broken", {})
    assert status == 500 and said["error"].startswith("The workbench failed at this: KeyError")
    assert send(server, "GET", f"/{server.token}/")[0] == 200


def test_a_taken_port_is_one_sentence(server: Server) -> None:
    with pytest.raises(ExitlessError, match=f"--port {server.server_port}: cannot listen there"):
        Server(server.server_port, str, {})


def test_only_the_pages_own_scripts_may_run() -> None:
    allowed = policy(
        "<script>\none();\n</script><script type='application/json'>{}</script><script>\ntwo();\n</script>"
    )
    assert allowed.count("'sha256-") == 2 and "unsafe-inline'; connect-src 'self'" in allowed
    assert "script-src 'unsafe" not in allowed
