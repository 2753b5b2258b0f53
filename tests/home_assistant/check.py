"""Checks MQTT discovery messages with Home Assistant's own schemas: check.py FILE...

Each file has JSON objects, one behind the other: {"topic": "<prefix>/device/<node>/<id>/config", "payload": {...}}.
Prints what Home Assistant would refuse, or take with a loss; ends with 1 if there is anything of it. Needs the
package `homeassistant`, which scripts/home-assistant installs; no broker, and no Home Assistant that runs."""

import asyncio
import importlib
import json
import sys
import tempfile

from homeassistant.components.mqtt import discovery
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.components.number.const import DEVICE_CLASS_UNITS as NUMBER_UNITS
from homeassistant.components.sensor import const as sensor
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant

taken = {}  # platform and unique_id -> where it stands
counts = {"messages": 0, "components": 0, "wrong": 0}


def wrong(place, why):
    counts["wrong"] += 1
    print(f"{place}: {' '.join(str(why).split())}")


def keys_of(schema):
    """The keys that a platform knows; others it would ignore."""
    keys = {"device", "origin"}
    for part in getattr(schema, "validators", None) or [schema]:
        if isinstance(getattr(part, "schema", None), dict):
            keys |= {str(getattr(key, "schema", key)) for key in part.schema}
    return keys


def beyond_the_schema(platform, component):
    """What the schema lets through, and Home Assistant refuses or loses afterwards."""
    kind, unit = component.get("device_class"), component.get("unit_of_measurement")
    state_class = component.get("state_class")
    if platform in ("sensor", "binary_sensor") and str(component.get("entity_category")) == "config":
        yield "entity_category config on what can only be read"
    if not all(isinstance(option, str) for option in component.get("options") or ()):
        yield "options must be texts"
    if platform == "sensor":
        if kind in sensor.NON_NUMERIC_DEVICE_CLASSES and unit is not None:
            yield f"a unit with {kind}"
        possible = sensor.DEVICE_CLASS_STATE_CLASSES.get(kind)
        if state_class and possible is not None and state_class not in possible:
            yield f"{state_class} is impossible with {kind}"
        if unit is None and None not in sensor.DEVICE_CLASS_UNITS.get(kind, (None,)):
            yield f"{kind} without a unit"
    if platform == "number" and unit not in NUMBER_UNITS.get(kind, (unit,)):
        yield f"{kind} in {unit}"
    if platform == "select" and any(option.lower() == "none" for option in component["options"]):
        yield "an option `none`, which Home Assistant takes for no state"
    if not component.get("enabled_by_default", True):
        yield "disabled at first, and an update would not enable it"
    device, name = component["device"].get("name") or "", component.get("name") or ""
    if not device:
        yield "its device has no name"
    if name.lower().split(" ")[0] == device.lower():
        yield f"the name {name!r} repeats that of the device"


def check_component(place, platform, raw):
    name = "device_trigger" if platform == "device_automation" else platform
    module = importlib.import_module(f"homeassistant.components.mqtt.{name}")
    schema = getattr(module, "DISCOVERY_SCHEMA", None) or module.TRIGGER_DISCOVERY_SCHEMA
    try:
        component = schema(dict(raw))
    except Exception as error:  # Home Assistant logs it, of whatever kind it is
        return wrong(place, error)
    for key in raw:
        if key not in keys_of(schema) and key not in discovery.SHARED_OPTIONS:
            wrong(place, f"the key {key} would be ignored")
    identity = (platform, component["unique_id"])
    if taken.setdefault(identity, place) != place:
        wrong(place, f"its unique_id is that of {taken[identity]}")
    for why in beyond_the_schema(platform, component):
        wrong(place, why)


def check_message(topic, payload):
    counts["messages"] += 1
    level = topic.find("/device/") + 1
    match = discovery.TOPIC_MATCHER.match(topic[level:]) if level else None
    if not match or match.group(1) != "device":
        return wrong(topic, "no topic of the discovery of devices: ids have a-z A-Z 0-9 _ - only")
    try:
        message = discovery.MQTTDiscoveryPayload(discovery.json_loads_object(json.dumps(payload)))
        discovery._replace_all_abbreviations(message)
        DEVICE_DISCOVERY_SCHEMA(message)
    except ValueError as error:
        return wrong(topic, f"the whole message is refused: {error}")
    except discovery.vol.Invalid as error:
        return wrong(topic, f"the whole message is refused: {error}")
    for key, component in message["components"].items():
        counts["components"] += 1
        place = f"{topic} {key}"
        if any(letter.isspace() for letter in key):
            wrong(place, "a blank in its key: an empty message would not remove it")
        platform = component.pop("platform")
        if component:
            component.update(device=message["device"], origin=message["origin"])
            discovery._merge_common_device_options(component, message)
            check_component(place, platform, component)


def messages(text):
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        record, at = decoder.raw_decode(text, at)
        yield record["topic"], record["payload"]


async def main(files):
    HomeAssistant(tempfile.gettempdir())  # templates are checked only where there is one
    for name in files:
        taken.clear()
        with open(name, encoding="utf-8") as file:
            for topic, payload in messages(file.read()):
                check_message(topic, payload)
    print(
        f"Home Assistant {__version__}: {len(files)} files, {counts['messages']} messages, "
        f"{counts['components']} components, {counts['wrong']} wrong"
    )
    return 1 if counts["wrong"] or not counts["components"] else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
