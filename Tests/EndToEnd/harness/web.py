"""JSON over HTTP with urllib, and answers that can be asserted on."""
import json
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


def get_json(url, **options):
    return json.loads(call("GET", url, **options)[2])
