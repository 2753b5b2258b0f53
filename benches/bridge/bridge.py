"""A plain serial-to-MQTT bridge, as one writes it in an hour: readline, split, publish."""

import json
import sys

import paho.mqtt.client as mqtt
import serial

port, broker, qos = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bridge")
client.max_inflight_messages_set(100)
client.max_queued_messages_set(0)
client.connect("127.0.0.1", broker)
client.loop_start()
client.publish("bench/status/ports/line", '{"state":"open"}', retain=True)

line = serial.Serial(port, 115200)
while True:
    fields = line.readline().decode().strip().split(",")
    if len(fields) != 3:
        continue
    temperature, humidity, light = (float(field) for field in fields)
    message = {"temperature": temperature, "humidity": humidity, "light": light}
    client.publish("bench/line", json.dumps(message), qos=qos)
