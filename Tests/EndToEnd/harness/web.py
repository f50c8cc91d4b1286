"""JSON over HTTP with urllib, and answers that can be asserted on."""
import http.client
import json
import time
import urllib.error
import urllib.request


class WebError(OSError):
    """An answer with a status of 400 or more."""

    def __init__(self, method, url, status, body):
        super().__init__("%s %s answered %d: %s" % (method, url.split("?")[0], status, body[:400]))
        self.status, self.body = status, body


def call(method, url, body=None, headers=None, context=None, timeout=65.0):
    """Returns (status, headers, text); raises WebError from 400 on."""
    data = None
    headers = dict(headers or {})
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as answer:
            return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            raise WebError(method, url, error.code, error.read().decode("utf-8", "replace")) from None


BUSY = {429, 503}  # the request was not carried out, and may be made again
PATIENCE = 30  # seconds


def call_patiently(method, url, *arguments):
    """`call` to a server that may be busy on a machine that is: what it did not carry out is asked again, and so is a GET
    whose answer was lost. What it means to say (404, 409, 422 and the like) is raised at once."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call(method, url, *arguments)
        except WebError as error:
            again = error.status in BUSY or method == "GET" and error.status >= 500
            why = error
        except ConnectionRefusedError as error:
            again, why = True, error
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(getattr(error, "reason", None), ConnectionRefusedError)
            again, why = refused or method == "GET", error
        if not again or time.monotonic() > deadline:
            raise why if isinstance(why, OSError) else OSError("%s %s: %r" % (method, url.split("?")[0], why))
        time.sleep(0.5)


def get_json(url, **options):
    return json.loads(call("GET", url, **options)[2])
