#!/usr/bin/python3
"""Publishing with pika and with amqp-publish (python3-pika, amqp-tools of Debian), for comparison with Updraft's bus on the
same broker.

other_clients.py URL [--messages N] [--size BYTES] [--queue-type classic|quorum] [--in-flight N]

Prints one JSON object: confirmed messages a second of pika when each confirm is waited for, and when confirms are pipelined
(SelectConnection); messages a second of amqp-publish, which asks for no confirm, until all are in the queue. Each with the
client's CPU time in microseconds a message. Messages are persistent.
"""

import argparse
import json
import resource
import subprocess
import time
import urllib.parse

import pika


def parameters(url):
    # oslo writes rabbit:// and leaves the path empty for the virtual host /.
    parts = urllib.parse.urlsplit(url.replace("rabbit://", "amqp://", 1))
    path = parts.path if parts.path not in ("", "/", "//") else "/%2F"
    return pika.URLParameters(urllib.parse.urlunsplit(parts._replace(path=path)))


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def waiting(where, queue, arguments, messages, body):
    """Waits for the confirm of each message before the next."""
    connection = pika.BlockingConnection(where)
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments=arguments)
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2)
    begun, begun_cpu = time.monotonic(), cpu()
    for _ in range(messages):
        channel.basic_publish("", queue, body, properties)
    result = {
        "messages": messages,
        "rate": messages / (time.monotonic() - begun),
        "cpu_us": (cpu() - begun_cpu) / messages * 1e6,
    }
    channel.queue_delete(queue)
    connection.close()
    return result


def amqp_publish(url, where, queue, arguments, messages, body):
    """One process of amqp-publish that gets a message a line."""
    connection = pika.BlockingConnection(where)
    channel = connection.channel()
    channel.queue_declare(queue, durable=True, arguments=arguments)
    parts = urllib.parse.urlsplit(url.replace("rabbit://", "amqp://", 1))
    path = parts.path if parts.path not in ("", "/", "//") else "/%2F"
    command = ["amqp-publish", "-u", urllib.parse.urlunsplit(parts._replace(path=path)), "-r", queue, "-p", "-l"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    subprocess.run(command, input=(body + b"\n") * messages, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    deadline = begun + 120
    while channel.queue_declare(queue, passive=True).method.message_count < messages:
        if time.monotonic() > deadline:
            raise SystemExit(f"amqp-publish: of {messages} messages some are not in the queue after 120 s")
        time.sleep(0.005)
    seconds = time.monotonic() - begun
    channel.queue_delete(queue)
    connection.close()
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return {"messages": messages, "rate": messages / seconds, "cpu_us": used / messages * 1e6}


class Pipelined:
    """Keeps a window of messages unconfirmed."""

    def __init__(self, where, queue, arguments, messages, body, in_flight):
        self.queue, self.arguments, self.messages, self.body = queue, arguments, messages, body
        self.in_flight = in_flight
        self.sent = self.confirmed = 0
        self.properties = pika.BasicProperties(delivery_mode=2)
        self.connection = pika.SelectConnection(where, on_open_callback=self.opened)
        self.connection.ioloop.start()

    def opened(self, connection):
        connection.channel(on_open_callback=self.channel_opened)

    def channel_opened(self, channel):
        self.channel = channel
        channel.queue_declare(self.queue, durable=True, arguments=self.arguments, callback=self.declared)

    def declared(self, _):
        self.channel.confirm_delivery(self.confirm, callback=self.begin)

    def begin(self, _):
        self.begun, self.begun_cpu = time.monotonic(), cpu()
        self.fill()

    def fill(self):
        while self.sent < self.messages and self.sent - self.confirmed < self.in_flight:
            self.channel.basic_publish("", self.queue, self.body, self.properties)
            self.sent += 1

    def confirm(self, frame):
        if frame.method.multiple:
            self.confirmed = frame.method.delivery_tag
        else:
            # Without gaps on one queue, so counting is enough.
            self.confirmed += 1
        if self.confirmed >= self.messages:
            self.result = {
                "messages": self.messages,
                "rate": self.messages / (time.monotonic() - self.begun),
                "cpu_us": (cpu() - self.begun_cpu) / self.messages * 1e6,
            }
            self.channel.queue_delete(self.queue, callback=lambda _: self.connection.close())
            self.connection.add_on_close_callback(lambda *_: self.connection.ioloop.stop())
        else:
            self.fill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--queue-type", default="classic")
    parser.add_argument("--in-flight", type=int, default=1000)
    options = parser.parse_args()
    where = parameters(options.url)
    arguments = {"x-queue-type": options.queue_type}
    body = b"x" * options.size
    name = f"updraft.bench.pika.{time.time_ns()}"
    print(
        json.dumps(
            {
                "client": f"pika {pika.__version__}",
                "queue_type": options.queue_type,
                "size": options.size,
                "waiting": waiting(where, name + ".w", arguments, max(100, options.messages // 10), body),
                "pipelined": Pipelined(
                    where, name + ".p", arguments, options.messages, body, options.in_flight
                ).result,
                "amqp_publish": amqp_publish(
                    options.url, where, name + ".a", arguments, options.messages, body
                ),
            }
        )
    )


main()
