"""Says what ceilometer-agent-compute would measure of servers, by Ceilometer's own code but for the hypervisor's numbers.

compute_agent.py TRANSPORT_URL CORES SERVER...

Every two seconds the counter `cpu` of each server has gone on by CORES core-seconds a second; `memory.usage` stays.
"""
import sys
import time

import oslo_messaging
from ceilometer import messaging, sample
from ceilometer.publisher import utils
from oslo_config import cfg
from oslo_utils import timeutils


def samples(servers, cores, passed, secret="compute agent"):
    """As ceilometer/polling/manager.py and the pollsters of ceilometer/compute/pollsters make them."""
    made = []
    for server in servers:
        metadata = {"display_name": "node", "name": "instance-00000001", "instance_id": server, "host": "compute-1",
                    "flavor": {"name": "m1.small", "vcpus": 2, "ram": 2048}, "status": "active", "vcpus": 2}
        for name, kind, unit, volume in (
                ("cpu", sample.TYPE_CUMULATIVE, "ns", int(1e12 + cores * passed * 1e9)),
                ("memory.usage", sample.TYPE_GAUGE, "MB", 512.5)):
            one = sample.Sample(name=name, type=kind, unit=unit, volume=volume, user_id="u", project_id="p",
                                resource_id=server, resource_metadata=metadata, monotonic_time=time.monotonic())
            one.set_timestamp(timeutils.utcnow().isoformat())
            made.append(utils.meter_message_from_counter(one, secret))
    return made


def main():
    url, cores, *servers = sys.argv[1:]
    conf = cfg.ConfigOpts()
    conf([], project="ceilometer", default_config_files=[])
    messaging.setup()
    notifier = oslo_messaging.Notifier(
        messaging.get_transport(conf, url), driver="messagingv2", topics=["notifications"],
        publisher_id="ceilometer.polling")
    start = time.monotonic()
    while True:
        notifier.sample({}, "telemetry.polling", {
            "samples": samples(servers, float(cores), time.monotonic() - start)})
        print("sent", flush=True)
        time.sleep(2)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
