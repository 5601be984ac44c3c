"""Cancel a prompt while one of its nodes runs, at some moments, and print how long each cancel took.

    python cancel.py COMFYUI URL PROCESS PROMPT NODE SECONDS...

PROCESS is the server's number, PROMPT a file, SECONDS are waits after the node has begun. Prints a list of [seconds by
the clock, seconds of the server's processor time]; `null` stands for a node that had ended before. Processor time is
what a machine that is free needs; 0 where the system does not tell it.
"""

import asyncio
import json
import os
import sys
import time
import uuid
from pathlib import Path

import aiohttp

url, process, file, node = sys.argv[2:6]
prompt = json.loads(Path(file).read_text(encoding="utf-8"))


def now():
    """Clock, and processor time of the server."""
    used, status = 0, Path("/proc", process, "stat")
    if status.is_file():
        used = sum(map(int, status.read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return time.monotonic(), used


async def cancel(session, wait):
    """Queue the prompt, wait for the node, and cancel."""
    client, asked = uuid.uuid4().hex, (0.0, 0.0)
    async with session.ws_connect(f"{url}/ws?clientId={client}") as socket:
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": client}) as answer:
            queued = await answer.json()
        if queued["node_errors"]:
            raise RuntimeError(queued["node_errors"])
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            event = message.json()
            kind, data = event["type"], event["data"]
            if data.get("prompt_id") != queued["prompt_id"]:
                continue
            if kind == "executing" and data["node"] == node:
                await asyncio.sleep(wait)
                asked = now()
                async with session.post(f"{url}/interrupt", json={}):
                    pass
            if kind == "execution_error":
                raise RuntimeError(data["exception_message"])
            if kind == "execution_interrupted" and data["node_id"] == node:
                return [after - before for after, before in zip(now(), asked, strict=True)]
            if kind in ("execution_success", "execution_interrupted"):
                break
    return None


async def main():
    async with aiohttp.ClientSession() as session:
        return [await cancel(session, float(wait)) for wait in sys.argv[6:]]


print(json.dumps(asyncio.run(main())))
