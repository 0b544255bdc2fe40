"""No benchmark, but a headless Chromium, told what to do over its own protocol, and a server of static files."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, final

import aiohttp

FLAGS = ("gpu", "quic", "background-networking", "component-update", "sync", "extensions", "default-apps")


@final
class Tab:
    """One page, with its workers: what it asked for, and what its console said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._last = socket, 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())
        self.session = ""
        self.asked: list[str] = []
        self.complaints: list[str] = []

    async def send(self, method: str, session: str | None = None, **given: Any) -> Any:
        self._last += 1
        answer = self._waiting[self._last] = asyncio.get_running_loop().create_future()
        message = {"id": self._last, "method": method, "params": given}
        chosen = self.session if session is None else session
        await self._socket.send_json(message | ({"sessionId": chosen} if chosen else {}))
        return await asyncio.wait_for(answer, 120)

    async def run(self, script: str) -> Any:
        """What a script's last expression, or the promise that it is, comes to."""
        told = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def until(self, script: str, seconds: float = 60) -> None:
        """Waits for a script's expression to become true."""
        async with asyncio.timeout(seconds):
            while not await self.run(script):
                await asyncio.sleep(0.05)

    async def open(self, url: str) -> None:
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def press(self, key: str, code: int, modifiers: int = 0) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=modifiers
            )

    async def picture(self, path: Path) -> None:
        told = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    async def close(self) -> None:
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                answer = self._waiting.pop(told["id"])
                if "error" in told:
                    answer.set_exception(RuntimeError(told["error"]["message"]))
                else:
                    answer.set_result(told["result"])
            else:
                self._note(told["method"], told["params"])

    def _note(self, method: str, told: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(f"{told['type']}: {[part.get('value') for part in told['args']]}")
        elif method == "Target.attachedToTarget":
            self._follow = asyncio.create_task(self._watch(told["sessionId"]))

    async def _watch(self, session: str) -> None:
        """Listens to a worker before it starts."""
        for domain in ("Runtime", "Network", "Log"):
            with suppress(RuntimeError):  # workers have no log of their own
                await self.send(f"{domain}.enable", session)
        await self.send("Runtime.runIfWaitingForDebugger", session)


@asynccontextmanager
async def opened_tab(folder: Path) -> AsyncGenerator[Tab]:
    """A page of a Chromium that finds no other machine; `folder` is for what it keeps."""
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("There is no program called chromium here.")
    flags = ["--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--remote-debugging-port=0"]
    flags += [f"--disable-{part}" for part in FLAGS]
    flags += [f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(program, *flags, "about:blank", stdout=quiet, stderr=quiet)
    try:
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(await _address(folder), max_msg_size=0) as socket,
        ):
            tab = Tab(socket)
            target = await tab.send("Target.createTarget", url="about:blank")
            found = await tab.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            tab.session = found["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.send(f"{domain}.enable")
            await tab.send("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
            yield tab
            await tab.close()
    finally:
        process.terminate()
        await process.wait()


async def _address(folder: Path) -> str:
    """Where Chromium listens, once it does."""
    file = folder / "DevToolsActivePort"
    async with asyncio.timeout(60):
        while not (file.is_file() and file.read_text().count("\n")):
            await asyncio.sleep(0.05)
    port, path = file.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


class Quiet(SimpleHTTPRequestHandler):
    """The server of `python -m http.server`, without its words."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def static_site(folder: Path) -> Generator[str]:
    """The address of a folder, as long as this is open."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
