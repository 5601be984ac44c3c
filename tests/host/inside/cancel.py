"""Cancel a prompt while one of its nodes runs, at some moments, and print how many seconds each cancel took.

    python cancel.py COMFYUI URL PROMPT NODE SECONDS...

PROMPT is a file, SECONDS are waits after the node has begun. `null` stands for a node that had ended before.
"""

import asyncio
import json
import sys
import time
import uuid
from pathlib import Path

import aiohttp

url, prompt, node = sys.argv[2], json.loads(Path(sys.argv[3]).read_text(encoding="utf-8")), sys.argv[4]


async def cancel(session, wait):
    """Queue the prompt, wait for the node, and cancel."""
    client, asked = uuid.uuid4().hex, 0.0
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
                asked = time.monotonic()
                async with session.post(f"{url}/interrupt", json={}):
                    pass
            if kind == "execution_error":
                raise RuntimeError(data["exception_message"])
            if kind == "execution_interrupted" and data["node_id"] == node:
                return time.monotonic() - asked
            if kind in ("execution_success", "execution_interrupted"):
                break
    return None


async def main():
    async with aiohttp.ClientSession() as session:
        return [await cancel(session, float(wait)) for wait in sys.argv[5:]]


print(json.dumps(asyncio.run(main())))
