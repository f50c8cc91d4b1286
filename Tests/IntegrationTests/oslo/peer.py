#!/usr/bin/python3
"""The other side of the oslo.messaging tests: an unmodified listener and an unmodified notifier.

peer.py listen URL EXCHANGE TOPIC COUNT   prints READY, then a JSON line for each of COUNT notifications, then ends
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


def main():
    command, url, exchange, topic, count = sys.argv[1:6]
    conf = cfg.ConfigOpts()
    oslo_messaging.set_transport_defaults(control_exchange=exchange)
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    # The exchange updraft is durable; oslo's default is not, and RabbitMQ accepts one declaration only.
    conf.set_override("amqp_durable_queues", exchange == "updraft", group="oslo_messaging_rabbit")
    if command == "listen":
        endpoint = Endpoint(int(count))
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
