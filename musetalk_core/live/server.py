"""A web server with one page: browsers bring a voice and see the avatar say it, several at a time with one model.

Needs the extra `live` (aiortc, aiohttp) once a server is made.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from ..errors import ModelError, MuseTalkError, OptionError
from ..options import Options, option
from ..portraits.sample import sample_speech
from .peer import OfferError, Peer, check_offer
from .session import LiveSession
from .voices import Voice

if TYPE_CHECKING:
    from aiohttp import web

PAGE = Path(__file__).with_name("page")
FILES = {
    "/": PAGE / "index.html",
    "/live.js": PAGE / "live.js",
    "/live.css": PAGE / "live.css",
    "/sample.wav": sample_speech(),
}
LARGEST_REQUEST = 65_536  # bytes; an offer has 2 to 8 thousand
SHORTEST_TOKEN = 16  # characters: not to be guessed
NEGOTIATE = 20.0  # seconds from an offer to its answer
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class ServerOptions(Options):
    """Who may reach a live server, and how many at a time."""

    host: str = option("127.0.0.1", "address to listen on; any that other machines can reach needs a token")
    port: int = option(8770, "port to listen on; 0 takes a free one", low=0, high=65_535)
    token: str = option("", f"secret that browsers must bring, {SHORTEST_TOKEN} characters or more")
    max_sessions: int = option(4, "browsers at a time; a newcomer beyond is told so", low=1, high=64)
    voice: str = option("", "text-to-speech function to use, when several are registered as `musetalk.tts`")

    def __post_init__(self) -> None:
        Options.__post_init__(self)
        if not self.token and not is_loopback(self.host):
            raise OptionError(
                f"Other machines can reach {self.host or 'every address'}, so a token is needed.",
                "Give --token SECRET, or listen on 127.0.0.1.",
            )
        if 0 < len(self.token) < SHORTEST_TOKEN:
            raise OptionError(
                f"The token is too short: {len(self.token)} characters.", f"Use {SHORTEST_TOKEN} or more."
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class RefusedError(MuseTalkError):
    """A request that the server does not serve.

    Args:
        status: of HTTP.
        what, fix: as ever.
    """

    def __init__(self, status: int, what: str, fix: str = "") -> None:
        super().__init__(what, fix)
        self.status = status


class LiveServer:
    """Serves the page, and a session to each browser.

    Args:
        make_session: makes a session in a thread; sessions share one model (`shared.share_model`).
        options: who may come.
        voice: says texts (`voices.find_voice`).
        report: is told, in a line, who comes and goes and what fails.

    Raises:
        ModelError: aiortc or aiohttp is not installed.
    """

    def __init__(
        self,
        make_session: Callable[[], LiveSession],
        options: ServerOptions | None = None,
        voice: Voice | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        require_extra()
        self.options = options or ServerOptions()
        self.url = ""  # once it listens
        self._make_session = make_session
        self._voice = voice
        self._report = report
        self._coming = 0  # browsers whose offer is being answered
        self._peers: dict[Peer, asyncio.Task[None]] = {}
        self._runner: web.AppRunner | None = None
        self._voices = ThreadPoolExecutor(self.options.max_sessions, "musetalk-voice")

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"{self.url}#token={quote(self.options.token)}" if self.options.token else self.url

    @property
    def sessions(self) -> int:
        """Browsers that are there or about to be."""
        return self._coming + len(self._peers)

    async def start(self) -> None:
        """Listen.

        Raises:
            OptionError: the address cannot be listened on.
        """
        from aiohttp import web

        # Encoders of sound and picture work in these; the event loop's own are too few for many sessions.
        workers = ThreadPoolExecutor(2 * self.options.max_sessions + 2, "musetalk-codec")
        loop = asyncio.get_running_loop()
        loop.set_default_executor(workers)
        loop.set_exception_handler(_unexpected)

        async def guard(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
            return await self._guard(request, handler)

        # aiohttp marks what guards, and a method cannot be marked.
        app = web.Application(client_max_size=LARGEST_REQUEST, middlewares=[web.middleware(guard)])
        for path in FILES:
            app.router.add_get(path, self._file)
        app.router.add_get("/status", self._status)
        app.router.add_post("/offer", self._offer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host = self.options.host.strip("[]")
        try:
            await web.TCPSite(self._runner, host, self.options.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise OptionError(
                f"{host}:{self.options.port} cannot be listened on: {error.strerror}.",
                "Choose another --port or --host.",
            ) from error
        port = self._runner.addresses[0][1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    async def close(self) -> None:
        """Send everybody away and stop listening."""
        for peer in self._peers:
            peer.stop()
        await asyncio.gather(*self._peers.values(), return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()
        self._voices.shutdown(wait=False, cancel_futures=True)

    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        """Every request: refuse strangers, put errors into words."""
        from aiohttp import web

        try:
            self._check_sender(request)
            response: web.StreamResponse = await handler(request)
        except RefusedError as error:
            response = web.json_response({"error": str(error)}, status=error.status)
        except web.HTTPException as error:
            response = web.json_response({"error": error.reason}, status=error.status)
        response.headers.update(HEADERS)
        return response

    def _check_sender(self, request: web.Request) -> None:
        """Refuse other sites' pages, also those whose name was made to lead here."""
        host = urlsplit(f"//{request.host}").hostname or ""
        if is_loopback(self.options.host) and not is_loopback(host):
            raise RefusedError(403, "This server is called by another name.", f"Open {self.url}")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise RefusedError(403, "Another site's page may not use this server.", f"Open {self.url}")

    def _check_token(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.options.token and not hmac.compare_digest(given.encode(), self.options.token.encode()):
            raise RefusedError(401, "The token is missing or wrong.", "Open the page as its address was given to you.")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        return web.FileResponse(FILES[request.path])

    async def _status(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        self._check_token(request)
        return web.json_response({"voice": self._voice is not None, **self._readouts()})

    def _readouts(self) -> dict[str, Any]:
        return {"sessions": self.sessions, "max_sessions": self.options.max_sessions}

    async def _offer(self, request: web.Request) -> web.StreamResponse:
        """A browser's offer: its own session, and the answer."""
        from aiohttp import web

        self._check_token(request)
        offer = await _read_offer(request)
        most = self.options.max_sessions
        if self.sessions >= most:
            people = "somebody else" if most == 1 else f"{most} others"
            raise RefusedError(503, f"The server is busy with {people}.", "Try again in a while.")
        self._coming += 1
        try:
            check_offer(offer)
            peer, answer = await asyncio.wait_for(self._welcome(offer), NEGOTIATE)
            self._peers[peer] = asyncio.create_task(self._serve(peer))
        except OfferError as error:
            raise RefusedError(400, error.what, error.fix) from error
        except MuseTalkError as error:
            self._report(str(error))
            raise RefusedError(500, "The server failed.", "Its console says why.") from error
        except asyncio.TimeoutError as error:
            raise RefusedError(503, "The server is too slow to answer.", "Try again in a while.") from error
        finally:
            self._coming -= 1
        return web.json_response({"type": "answer", "sdp": answer})

    async def _welcome(self, offer: str) -> tuple[Peer, str]:
        session = await asyncio.get_running_loop().run_in_executor(None, self._make_session)
        peer = Peer(session, self._voice, self._voices, self._readouts)
        try:
            return peer, await peer.answer(offer)
        except BaseException:  # cancelled too: the session and the connection must not stay
            await peer.close()
            raise

    async def _serve(self, peer: Peer) -> None:
        self._report(f"A browser came; {self.sessions} here.")
        try:
            await peer.serve()
        except MuseTalkError as error:
            self._report(str(error))
        finally:
            del self._peers[peer]
            self._report(f"A browser left; {self.sessions} here.")


async def _read_offer(request: web.Request) -> str:
    """The SDP in a request's body.

    Raises:
        RefusedError: the body is too large, comes too slowly, or is no offer.
    """
    from aiohttp import web

    try:
        body = await asyncio.wait_for(request.json(), NEGOTIATE)
    except web.HTTPRequestEntityTooLarge as error:
        raise RefusedError(413, f"The offer has more than {LARGEST_REQUEST} bytes.") from error
    except (ValueError, RecursionError, LookupError) as error:
        raise RefusedError(400, "The offer is no JSON.", "Load the page again.") from error
    except asyncio.TimeoutError as error:
        raise RefusedError(408, "The offer came too slowly.", "Load the page again.") from error
    if not isinstance(body, dict) or body.get("type") != "offer" or not isinstance(body.get("sdp"), str):
        raise RefusedError(400, "The request holds no offer.", "Load the page again.")
    return str(body["sdp"])


def _unexpected(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waited for: aiortc's own tasks fail when a browser is gone, and that is no news."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def require_extra() -> None:
    """Refuse to go on without aiortc and aiohttp.

    Raises:
        ModelError: one of them is not installed.
    """
    try:
        import aiohttp  # noqa: F401
        import aiortc  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"A live server needs {error.name}, which is not installed.", "Run: pip install 'musetalk-lipsync[live]'."
        ) from error


async def serve(server: LiveServer, ready: Callable[[], None]) -> None:
    """Run a server until the task is cancelled, as Ctrl-C does.

    Args:
        server: the server.
        ready: called when it listens.
    """
    try:
        await server.start()
        ready()
        await asyncio.Event().wait()
    finally:
        await server.close()
