#!/usr/bin/python3
"""The other side of the oslo.messaging tests: an unmodified listener and an unmodified notifier.

peer.py listen URL EXCHANGE TOPIC COUNT   prints READY, then a JSON line for each of COUNT notifications, then ends
peer.py application URL EXCHANGE PREFIX COUNT   hears COUNT notices of PREFIX.notices and answers done on PREFIX.answers
                                               to those that are not withdrawn
peer.py notify URL EXCHANGE TOPIC COUNT   sends COUNT notifications with the messagingv2 driver
"""

import json
import sys
import threading

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    """Takes notifications of every priority."""

    def __init__(self, count):
        self.missing = count
        self.done = threading.Event()

    def _take(self, priority, publisher_id, event_type, payload, metadata):
        line = {
            "priority": priority,
            "publisher_id": publisher_id,
            "event_type": event_type,
            "payload": payload,
            "metadata": metadata,
        }
        print(json.dumps(line), flush=True)
        self.missing -= 1
        if self.missing == 0:
            self.done.set()

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        self._take("info", publisher_id, event_type, payload, metadata)

    def warn(self, ctxt, publisher_id, event_type, payload, metadata):
        self._take("warn", publisher_id, event_type, payload, metadata)


class Application(Endpoint):
    """What docs/notices.md tells authors of applications to write."""

    def __init__(self, count, notifier):
        super().__init__(count)
        self.notifier = notifier

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        if event_type == "updraft.pod.shutdown" and not payload["withdrawn"]:
            self.notifier.info({}, "updraft.pod.shutdown.done", {
                "schema": 1, "cluster": payload["cluster"],
                "answer": {"removal": payload["removal"], "podUID": payload["podUID"], "token": payload["token"]}})
        self._take("info", publisher_id, event_type, payload, metadata)


def main():
    command, url, exchange, topic, count = sys.argv[1:6]
    conf = cfg.ConfigOpts()
    oslo_messaging.set_transport_defaults(control_exchange=exchange)
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    # The exchange updraft is durable; oslo's default is not, and RabbitMQ accepts one declaration only.
    conf.set_override("amqp_durable_queues", exchange == "updraft", group="oslo_messaging_rabbit")
    if command in ("listen", "application"):
        endpoint = Endpoint(int(count))
        if command == "application":
            notifier = oslo_messaging.Notifier(
                transport, publisher_id="web.web-0", driver="messagingv2", topics=[topic + ".answers"], retry=3)
            endpoint = Application(int(count), notifier)
            topic += ".notices"
        listener = oslo_messaging.get_notification_listener(
            transport,
            [oslo_messaging.Target(topic=topic, exchange=exchange)],
            [endpoint],
            executor="threading",
        )
        listener.start()
        print("READY", flush=True)
        ended = endpoint.done.wait(60)
        listener.stop()
        listener.wait()
        sys.exit(0 if ended else 1)
    notifier = oslo_messaging.Notifier(
        transport, publisher_id="compute.test-host", driver="messagingv2", topics=[topic], retry=3
    )
    for number in range(int(count)):
        notifier.info({}, "compute.instance.delete.start", {"instance_id": f"i-{number}", "näme": "ü"})


main()
