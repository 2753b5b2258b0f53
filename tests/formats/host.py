"""A host application of Sparkplug B, on pysparkplug and paho-mqtt: neither knows anything of this project.

It prints a line of JSON for each message, as pysparkplug decodes it, and sends what it is told on stdin:
`rebirth NODE`, `write NODE DEVICE METRIC TYPE VALUE`, `state HOST online|offline`.
Usage: host.py PORT GROUP
"""

import json
import sys
import time

import paho.mqtt.client as mqtt
import pysparkplug as spb
from pysparkplug._enums import MessageType

port, group = int(sys.argv[1]), sys.argv[2]
births = {}


def now():
    return int(time.time() * 1000)


def shown(metric):
    return {
        "name": metric.name,
        "type": metric.datatype.name,
        "value": metric.value,
        "null": metric.is_null,
        "historical": metric.is_historical,
        "timestamp": metric.timestamp,
    }


def on_message(client, userdata, message):
    topic = spb.Topic.from_str(message.topic)
    kind = topic.message_type
    if kind in (MessageType.STATE, MessageType.NCMD, MessageType.DCMD):
        return
    node = (topic.edge_node_id, topic.device_id)
    line = {"kind": str(kind.value), "device": topic.device_id, "qos": message.qos, "retain": bool(message.retain)}
    line["hex"] = message.payload.hex()
    try:
        payload = spb.Message.from_mqtt_message(message, birth=births.get(node)).payload
        if kind in (MessageType.NBIRTH, MessageType.DBIRTH):
            births[node] = payload
        line["timestamp"] = payload.timestamp
        line["seq"] = getattr(payload, "seq", None)
        metrics = [payload.bd_seq_metric] if kind == MessageType.NDEATH else getattr(payload, "metrics", ())
        line["metrics"] = [shown(metric) for metric in metrics]
    except Exception as error:  # It is told, and fails the test.
        line["error"] = repr(error)
    print(json.dumps(line), flush=True)


def on_connect(client, userdata, flags, code):
    client.subscribe([("spBv1.0/#", 1), ("probe", 1)])


client = mqtt.Client("host")
client.on_connect = on_connect
client.on_subscribe = lambda *_: print(json.dumps({"kind": "ready"}), flush=True)
client.on_message = on_message
client.reconnect_delay_set(1, 1)
client.connect("127.0.0.1", port)
client.loop_start()
for command in sys.stdin:
    what, *words = command.split()
    if what == "rebirth":
        metric = spb.Metric(now(), "Node Control/Rebirth", spb.DataType.BOOLEAN, value=True)
        payload = spb.NCmd(timestamp=now(), metrics=(metric,)).encode(include_dtypes=True)
        client.publish(f"spBv1.0/{group}/NCMD/{words[0]}", payload, qos=0)
    elif what == "write":
        node, device, name, kind, value = words
        kind = spb.DataType[kind]
        value = json.loads(value)
        payload = spb.DCmd(timestamp=now(), metrics=(spb.Metric(now(), name, kind, value=value),))
        client.publish(f"spBv1.0/{group}/DCMD/{node}/{device}", payload.encode(include_dtypes=True), qos=0)
    elif what == "state":
        payload = json.dumps({"online": words[1] == "online", "timestamp": now()})
        client.publish(f"spBv1.0/STATE/{words[0]}", payload, qos=1, retain=True)
