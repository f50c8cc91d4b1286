"""A small HTTP server: of the control API and of each kubelet."""
import asyncio
import http.client
import json
import ssl
import traceback
import urllib.parse

from .api import ApiError


async def serve(reader, writer, answer):
    """Requests of one connection; `answer(method, path, query, headers, body, writer)` gives (status, text or
    object, content type)."""
    try:
        while await _one(reader, writer, answer):
            pass
    except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, ValueError):
        pass
    finally:
        writer.close()


async def _one(reader, writer, answer):
    line = await reader.readline()
    if not line:
        return False
    method, target, _ = line.decode().split(" ", 2)
    headers = {}
    while (header := await reader.readline()) not in (b"\r\n", b""):
        name, value = header.decode().split(":", 1)
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(url.query))
    try:
        status, out, content_type = await answer(method, url.path, query, headers, body, writer)
    except ApiError as error:
        status, out, content_type = error.code, error.body, "text/plain"
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        traceback.print_exc()
        status, out, content_type = 400, f"{type(error).__name__}: {error}\n", "text/plain"
    if not isinstance(out, str):
        out, content_type = json.dumps(out, indent=1) + "\n", "application/json"
    data = out.encode()
    reason = http.client.responses.get(status, "")
    writer.write(f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n"
                 f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
    await writer.drain()
    return headers.get("connection", "").lower() != "close"
