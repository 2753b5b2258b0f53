"""A controller of Homie 5, on ebus-sdk: it knows nothing of this project.

It prints a line of JSON for each thing that it learns, and sets what it is told on stdin: `DEVICE NODE PROPERTY VALUE`.
Usage: controller.py PORT
"""

import json
import logging
import sys

from ebus_sdk import Controller
from ebus_sdk.homie import Property

faults = []


class Faults(logging.Handler):
    def emit(self, record):
        faults.append(record.getMessage())


logging.getLogger().addHandler(Faults(level=logging.WARNING))


def say(what, **more):
    print(json.dumps({"what": what, **more}), flush=True)


def on_description(device):
    faults.clear()
    about = device.description
    for node in about.get("nodes", {}).values():
        for name, fields in node["properties"].items():
            # The SDK checks types and formats where a device declares them.
            Property(from_dict={"id": name, **fields})
    say("description", device=device.device_id, about=about, faults=list(faults))


controller = Controller(mqtt_cfg={"host": "127.0.0.1", "port": int(sys.argv[1])}, homie_domain="homie")
controller.set_on_device_state_changed_callback(
    lambda device, old, new: say("state", device=device.device_id, state=new)
)
controller.set_on_device_discovered_callback(lambda device: say("state", device=device.device_id, state=device.state))
controller.set_on_device_removed_callback(lambda device: say("removed", device=device.device_id))
controller.set_on_description_received_callback(on_description)
controller.set_on_property_changed_callback(
    lambda device, node, name, value, old: say("value", device=device, node=node, property=name, value=value)
)
controller.start_discovery()
say("ready")
for line in sys.stdin:
    device, node, name, value = line.split()
    controller.set_property(device, node, name, value)
