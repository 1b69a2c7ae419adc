"""The workbench's server: one page and a few answers on the loopback interface, for whoever holds the address.

The address carries a random token. Requests whose Host or Origin is another's, that are too large, or that ask for
anything but the page and the named answers are turned away before anything is done. No file is opened here.
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, Final

from exitless.errors import ExitlessError

LOOPBACK: Final = "127.0.0.1"
LARGEST: Final = 16_384
PATIENCE_S: Final = 30
NOT_HERE: Final = "There is nothing at this address."

GUARDS: Final = (
    ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"), ("Cross-Origin-Resource-Policy", "same-origin"),
)  # fmt: skip

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Server(ThreadingHTTPServer):
    """Listens on loopback only. ``page`` makes the page's text, ``answers`` the replies by their name.

    Errors: ExitlessError when the port cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int, page: Callable[[], str], answers: dict[str, Answer], token: str = "") -> None:
        self.token = token or secrets.token_urlsafe(18)
        self.page = page
        self.answers = answers
        self.turn = Lock()
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as problem:
            raise ExitlessError(f"--port {port}: cannot listen there: {problem.strerror or problem}") from None

    @property
    def address(self) -> str:
        """Where the page is, token included."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """What a browser that means this server sends as Host."""
        return f"{LOOPBACK}:{self.server_port}", f"localhost:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up in the middle is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request on one connection."""

    server_version = "exitless"
    sys_version = ""
    timeout = PATIENCE_S
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal belongs to the command."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in one sentence, and end the connection."""
        self.close_connection = True
        self._send(code, "text/plain; charset=utf-8", (message or "The request cannot be understood.").encode())

    def do_GET(self) -> None:
        """Send the page."""
        if not self._welcome():
            return
        if self._name() != "":
            self.send_error(404, NOT_HERE)
            return
        with self.server.turn:
            text = self.server.page()
        self._send(200, "text/html; charset=utf-8", text.encode(), policy(text))

    def do_POST(self) -> None:
        """Send one answer as JSON; what cannot be done is a sentence under ``error``."""
        if not self._welcome():
            return
        answer = self.server.answers.get(self._name() or "")
        if answer is None:
            self.send_error(404, NOT_HERE)
            return
        asked = self._body()
        if asked is None:
            return
        code = 200
        try:
            with self.server.turn:
                said = answer(asked)
        except ExitlessError as problem:
            said = {"error": sentence(str(problem))}
        except Exception as problem:  # A fault of ours must not look like silence.
            code, said = 500, {"error": f"The workbench failed at this: {type(problem).__name__}: {problem}."}
        text = json.dumps(said, ensure_ascii=False, separators=(",", ":"))
        self._send(code, "application/json; charset=utf-8", text.encode())

    def _welcome(self) -> bool:
        """Tell whether the request comes from this machine's browser and from this page."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        if host not in self.server.hosts:
            self.send_error(403, f"The workbench answers only to {self.server.hosts[0]}.")
        elif origin is not None and origin not in [f"http://{h}" for h in self.server.hosts]:
            self.send_error(403, "The workbench answers only to its own page.")
        elif site not in ("same-origin", "none"):
            self.send_error(403, "The workbench answers only to its own page.")
        else:
            return True
        return False

    def _name(self) -> str | None:
        """Return what of ours is asked for: the empty string for the page; None without the right token."""
        found = re.fullmatch(r"/([A-Za-z0-9_-]{1,64})/([a-z]{0,20})(?:\?[^#]{0,200})?", self.path)
        if found is None or not hmac.compare_digest(found[1], self.server.token):
            return None
        return found[2]

    def _body(self) -> dict[str, Any] | None:
        """Read the JSON object that was sent; None when it has been refused."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            self.send_error(415, "Expected application/json.")
        elif self.headers.get("Transfer-Encoding") or not re.fullmatch(r"\d{1,9}", length):
            self.send_error(411, "Expected a Content-Length.")
        elif int(length) > LARGEST:
            self.send_error(413, f"Expected at most {LARGEST} bytes, got {length}.")
        else:
            try:
                asked = json.loads(self.rfile.read(int(length)).decode("utf-8"))
            except (ValueError, RecursionError):
                asked = None
            if isinstance(asked, dict):
                return asked
            self.send_error(400, "Expected one JSON object.")
        return None

    def _send(self, code: int, kind: str, body: bytes, rules: str = "default-src 'none'") -> None:
        try:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (*GUARDS, ("Content-Security-Policy", rules)):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (TimeoutError, ConnectionError):
            self.close_connection = True


def policy(text: str) -> str:
    """Return the rules a browser has to keep for a page: its own scripts, nothing from elsewhere."""
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; connect-src 'self'; "
        "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )


def sentence(text: str) -> str:
    """Return a complaint as a sentence."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
