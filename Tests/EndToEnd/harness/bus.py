"""The broker: what was said on Updraft's exchange, and messages that should not be there. Uses the AMQP library that
comes with Debian's OpenStack packages; nothing else here is outside the standard library."""
import contextlib
import json
import os
import re
import socket
import subprocess
import threading
import time

import amqp

from .waiting import NotYet, until


class Message:
    """One message of Updraft: its event type, its payload, when it was seen."""

    def __init__(self, routing_key, body, headers):
        self.seen, self.routing_key, self.headers = time.time(), routing_key, headers
        self.body = body
        try:
            inner = json.loads(json.loads(body)["oslo.message"])
            self.event_type, self.payload = inner["event_type"], inner["payload"]
            self.id, self.publisher = inner["message_id"], inner["publisher_id"]
        except (ValueError, KeyError, TypeError):
            self.event_type, self.payload, self.id, self.publisher = None, {}, None, None

    @property
    def topic(self):
        words = self.routing_key.split(".")
        return words[2] if len(words) > 2 else ""

    def __repr__(self):
        return "%s %s %s" % (time.strftime("%H:%M:%S", time.localtime(self.seen)), self.event_type,
                             json.dumps(self.payload)[:400])


class Broker:
    """Connections to the rig's RabbitMQ."""

    def __init__(self, transport_url, rabbitmqctl):
        self.url, self.rabbitmqctl = transport_url, rabbitmqctl
        user, password, host, port = re.fullmatch(r"rabbit://([^:]*):([^@]*)@([^:]*):(\d+)/.*", transport_url).groups()
        self.options = {"host": "%s:%s" % (host, port), "userid": user, "password": password, "connect_timeout": 10,
                        "heartbeat": 0}

    def connect(self):
        connection = amqp.Connection(**self.options)
        connection.connect()
        return connection

    def publish(self, exchange, routing_key, body, headers=None, **properties):
        connection = self.connect()
        try:
            message = amqp.Message(body, application_headers=headers or {}, delivery_mode=2,
                                   content_type="application/json", **properties)
            connection.channel().basic_publish(message, exchange=exchange, routing_key=routing_key)
        finally:
            connection.close()

    def queues(self):
        """Name of each queue and how many messages it holds."""
        listed = self.tool("rabbitmqctl", "--formatter", "json", "list_queues", "name", "messages")
        return {q["name"]: q["messages"] for q in json.loads(listed)}

    def tool(self, name, *arguments):
        """What one of RabbitMQ's tools prints. It may find the broker or the machine busy, and is called again; fails with
        what it said."""
        def printed():
            try:
                done = subprocess.run([os.path.join(os.path.dirname(self.rabbitmqctl), name), "-q", *arguments],
                                      capture_output=True, text=True, timeout=90)
            except subprocess.TimeoutExpired:
                raise NotYet("no end within 90 s") from None
            if done.returncode:
                raise NotYet("it ended with %d: %s" % (done.returncode, (done.stderr or done.stdout).strip()[-800:]))
            return done.stdout or "\n"

        return until("%s %s" % (name, " ".join(arguments)), printed, 120)

    @contextlib.contextmanager
    def management(self, port):
        """The management API on a port of this machine for as long as it is needed: its URL, user and password."""
        # Where an earlier run left it enabled it would stay at that one's port. The port is told before the plugin is
        # loaded, which would set its own.
        self.tool("rabbitmq-plugins", "disable", "rabbitmq_management")
        self.tool("rabbitmqctl", "eval", "application:set_env(rabbitmq_management, tcp_config, "
                                         '[{port, %d}, {ip, "127.0.0.1"}], [{persistent, true}]).' % port)
        self.tool("rabbitmq-plugins", "enable", "rabbitmq_management")
        try:
            until("the management API listens", lambda: socket.create_connection(("127.0.0.1", port), 5).close() or True)
            yield "http://127.0.0.1:%d" % port, self.options["userid"], self.options["password"]
        finally:
            self.tool("rabbitmq-plugins", "disable", "rabbitmq_management")

    def delete_queues(self, part):
        """Deletes the queues that belong to a story."""
        connection = self.connect()
        try:
            for name in self.queues():
                if part in name:
                    connection.channel().queue_delete(name)
        finally:
            connection.close()

    def parked(self, cluster):
        """Takes what the services of a cluster parked out of the queue of parked messages, which they declare. What others
        parked stays: other stories look for it."""
        connection = self.connect()
        try:
            channel, found = connection.channel(), []
            while True:
                try:
                    message = channel.basic_get("updraft.dead")
                except amqp.exceptions.NotFound:
                    return found
                if message is None:
                    return found
                headers = message.properties.get("application_headers", {})
                if headers.get("x-updraft-cluster") == cluster:
                    channel.basic_ack(message.delivery_info["delivery_tag"])
                    found.append(Message(message.delivery_info["routing_key"], message.body, headers))
            return found
        finally:
            connection.close()  # what was not acknowledged goes back


class Recorder:
    """Keeps every message of one cluster from now on, on a thread of its own."""

    def __init__(self, broker, cluster, exchange="updraft"):
        self.messages, self.lock, self.closing = [], threading.Lock(), False
        self.connection = broker.connect()
        channel = self.connection.channel()
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
        queue = channel.queue_declare("", exclusive=True, auto_delete=True).queue
        channel.queue_bind(queue, exchange, "updraft.%s.#" % cluster)
        channel.basic_consume(queue, no_ack=True, callback=self._received)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _received(self, message):
        with self.lock:
            self.messages.append(Message(message.delivery_info["routing_key"], message.body,
                                         message.properties.get("application_headers", {})))

    def _run(self):
        while not self.closing:
            try:
                self.connection.drain_events(timeout=0.5)
            except socket.timeout:
                continue
            except (OSError, amqp.exceptions.AMQPError):
                return

    def all(self, *event_types):
        """What was said so far, of these event types ("scale.decided"), or everything."""
        wanted = {"updraft." + t for t in event_types}
        with self.lock:
            return [m for m in self.messages if not wanted or m.event_type in wanted]

    def first(self, event_type, **fields):
        """The first message of the type whose payload, or the object in it, has these values; else None."""
        for message in self.all(event_type):
            candidates = [message.payload] + [v for v in message.payload.values() if isinstance(v, dict)]
            if any(all(c.get(k) == v for k, v in fields.items()) for c in candidates):
                return message
        return None

    def close(self):
        self.closing = True
        self.thread.join(5)
        try:
            self.connection.close()
        except OSError:
            pass
