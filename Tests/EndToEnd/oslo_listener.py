"""An unmodified oslo.messaging notification listener: prints what it hears as JSON lines.

oslo_listener.py TRANSPORT_URL EXCHANGE TOPIC...
"""
import json
import sys

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    def _heard(self, _context, publisher_id, event_type, payload, metadata):
        print(json.dumps({"publisher_id": publisher_id, "event_type": event_type, "payload": payload,
                          "metadata": metadata}, default=str), flush=True)
        return oslo_messaging.NotificationResult.HANDLED

    audit = debug = info = warn = error = critical = sample = _heard


def main():
    url, exchange, *topics = sys.argv[1:]
    conf = cfg.ConfigOpts()
    conf([], project="listener")
    transport = oslo_messaging.get_notification_transport(conf, url=url)
    # The exchange is durable: oslo.messaging declares it as this option says.
    conf.set_override("amqp_durable_queues", True, group="oslo_messaging_rabbit")
    targets = [oslo_messaging.Target(topic=topic, exchange=exchange) for topic in topics]
    listener = oslo_messaging.get_notification_listener(
        transport, targets, [Endpoint()], executor="threading", pool="e2e-listener-" + topics[0])
    listener.start()
    print(json.dumps({"listening": topics}), flush=True)
    listener.wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
