"""The pages in a browser, against a gateway that runs."""

import json
import os
import pathlib

import pytest
from router import ROOT, until

SHOTS = pathlib.Path(os.environ.get("SHOTS", ROOT / "target/luci"))

# What a hostile device says. The last ones turn the text around and cannot be seen.
HOSTILE = "<img src=x onerror=window.hacked=1>\"'&lt;</td><script>alert(1)</script>\u202eevil\u200b"


def shot(page, name):
    page.shot(str(SHOTS / f"{name}.png"))


def fits(page):
    """Nothing sticks out to the right."""
    wide = page.js(
        "[...document.querySelectorAll('#maincontent *')].filter((node) => node.getBoundingClientRect().right"
        f" > {page.width} && !node.closest('svg, textarea, .gutter')).map((node) => node.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert page.js("document.documentElement.scrollWidth") <= page.width


def row(topic):
    return f"[...document.querySelectorAll('.tty2mqtt-values tr')].find((r) => r.innerText.includes('{topic}'))"


def test_status_shows_link_ports_and_values(router, look):
    weather = router.devices["weather"]
    weather.says(b"\n21.50,40\n")
    page = look("status")
    page.says("ready")
    page.says(f"mqtt://127.0.0.1:{router.broker_port}")
    page.wait(row("barn/weather/temperature"))
    assert "21.50 °C" in page.js(row("barn/weather/temperature") + ".innerText")
    assert "open" in page.text("[data-port=weather]")
    # The next look knows what came between.
    weather.says(b"nonsense\n22.75,41\n")
    page.wait(row("barn/weather/temperature") + "?.innerText.includes('22.75')")
    page.wait(row("barn/weather/temperature") + ".querySelector('polyline')")
    page.wait("!document.querySelector('[data-port=weather]').innerText.includes('– bytes/s')")
    page.wait("document.querySelectorAll('.tty2mqtt-graph polyline')[2].getAttribute('points')?.includes(' ')")
    page.says("missing: 1", "[data-port=weather]")
    page.says("Round trip")
    shot(page, "status")
    # Curves outlive a reload of the page.
    points = page.js("document.querySelectorAll('.tty2mqtt-graph polyline')[2].getAttribute('points').split(' ').length")
    page.js("location.reload()")
    page.wait(
        "document.querySelectorAll('.tty2mqtt-graph polyline')[2]?.getAttribute('points')"
        f".split(' ').length > {points}"
    )


def test_devices_of_a_bus_show_whether_they_answer(router, look):
    bus = """\
  bus:
    path: DEV/bus
    line: 19200 8N1
    interval: 200ms
    timeout: 50ms
    misses: 1
    devices:
      pump: {address: 3, registers: {speed: {holding: 7, type: u16, write: {min: 0, max: 90}}}}
      tank: {address: 4, registers: {level: {input: 1, type: u16}}}
"""
    router.write(router.text + bus)
    router.devices["bus"].answers_modbus(3)
    router.stop_gateway()
    router.start_gateway()
    router.ready()
    page = look("status")
    page.says("online", "[data-device=pump]")
    page.says("answered 0 s ago", "[data-device=pump]")
    page.says("no answer", "[data-device=tank]")
    page.says("no answer yet", "[data-device=tank]")
    page.wait(row("barn/pump/speed") + "?.innerText.includes('1000')")
    page.click("Send a command…")
    pump = page.js("[...document.querySelectorAll('#tty2mqtt-command option')].find((o) => o.innerText.includes('pump')).value")
    page.enter("#tty2mqtt-command", pump)
    page.enter("#tty2mqtt-payload", "91")
    page.click("Send", ".modal")
    page.says("refused", ".modal")
    page.enter("#tty2mqtt-payload", "42")
    page.click("Send", ".modal")
    page.says("Done by bus", ".modal")
    page.click("Close", ".modal")
    page.wait(row("barn/pump/speed") + "?.innerText.includes('42')")
    fits(page)
    shot(page, "devices")


def test_values_that_filters_hold_back_are_counted(router, look):
    router.write(router.text.replace("{name: temperature, unit: °C}", "{name: temperature, unit: °C, on_change: true}"))
    router.stop_gateway()
    router.start_gateway()
    router.ready()
    page = look("status")
    page.wait("document.querySelector('[data-port=weather]')")
    assert "held back" not in page.text()
    router.devices["weather"].says(b"\n21.50,40\n21.50,41\n21.50,42\n")
    page.says("2 values held back by filters", "[data-port=weather]")
    assert not page.js("document.querySelector('[data-port=weather] .troubles li')")


def test_what_a_device_says_stays_text(router, look):
    router.devices["door"].says(b"\n")
    status, monitor = look("status"), look("monitor", more="&port=door")
    monitor.says("open")
    router.devices["door"].says(HOSTILE.encode() + b"\n")
    for page in [status, monitor]:
        page.says("<img src=x onerror=window.hacked=1>")
        page.says("</td><script>alert(1)</script>\\u{202e}evil\\u{200b}")
        assert page.js("[window.hacked, document.querySelectorAll('#maincontent img, #maincontent script').length]") == [None, 0]
    shot(monitor, "monitor-hostile")


def test_pause_holds_the_page(router, look):
    page = look("status")
    page.click("Pause")
    router.devices["weather"].says(b"\n1,2\n")
    until(lambda: router.ubus("status")["ports"]["weather"]["values"], "the values are there")
    # A page that was opened later has looked twice by now.
    other = look("status")
    other.wait(row("barn/weather/temperature") + "?.querySelector('polyline')")
    assert not page.js(row("barn/weather/temperature"))
    page.click("Resume")
    page.wait(row("barn/weather/temperature"))


def test_reconnect_and_commands(router, look):
    page = look("status")
    page.click("Reconnect")
    until(lambda: router.ubus("status")["broker"]["connects"] == 2, "a second connect")
    page.click("Send a command…")
    page.enter("#tty2mqtt-payload", "on")
    page.click("Send", ".modal")
    page.says("Written: 12 bytes to weather", ".modal")
    router.devices["weather"].hears(b"(relay on);\n")
    # A filter with a wildcard needs a topic of its own.
    page.enter("#tty2mqtt-command", "1")
    assert page.js("document.querySelector('#tty2mqtt-topic').checkVisibility()")
    page.click("Send", ".modal")
    page.says("no command", ".modal")
    page.enter("#tty2mqtt-topic", "barn/weather/lamp/3")
    page.click("Send", ".modal")
    router.devices["weather"].hears(b"lamp on\n")
    shot(page, "send")
    page.click("Close", ".modal")


def test_a_broker_that_is_away_and_a_gateway_that_ends(router, look):
    page, tile = look("status"), look("status/overview")
    assert "2 of 2 open" in tile.text()
    router.stop_broker()
    router.devices["weather"].says(b"\n1,2\n")
    page.says("backoff")
    page.says("2 messages")
    shot(page, "broker-away")
    router.stop_gateway()
    page.says("The gateway does not run")
    shot(page, "stopped")
    tile.open(router.url("status/overview", more="&again"))
    assert "does not run" in tile.text()
    router.start_broker()
    router.start_gateway()
    page.says("ready")
    assert "does not run" not in page.text()


def test_monitor_shows_frames_and_holds(router, look):
    page = look("monitor", more="&port=weather")
    page.says("port is open")
    router.devices["weather"].says(b"\n21.50,40\n")
    page.says("frame of 8 bytes")
    page.says("barn/weather/temperature 21.50")
    page.js("document.querySelector('#tty2mqtt-hex').click()")
    page.says("32 31 2e 35 30 2c 34 30")
    page.js("document.querySelector('#tty2mqtt-raw').click()")
    until(lambda: router.devices["weather"].says(b"2") or "bytes read" in page.text(), "bytes are shown")
    router.devices["weather"].says(b"\n")
    page.says("humidity refused: missing")
    shot(page, "monitor")
    page.click("Pause")
    before = router.ubus("status")["ports"]["weather"]["frames"]
    router.devices["weather"].says(b"99,99\n")
    until(lambda: router.ubus("status")["ports"]["weather"]["frames"] > before, "the frame was read")
    # A page that was opened later has seen the next one by now.
    other = look("monitor", more="&port=weather")
    other.says("port is open")
    router.devices["weather"].says(b"98,98\n")
    other.says("98,98")
    assert "99,99" not in page.text() and "98,98" not in page.text()
    page.click("Resume")
    page.click("Clear")
    page.js("document.querySelector('#tty2mqtt-hex').click()")
    page.enter("#tty2mqtt-port", "door")
    page.says("port is open")
    router.devices["door"].says(b"ajar\n")
    page.says("barn/door/text ajar")


def test_monitor_misses_and_repeats_nothing(router, look):
    page = look("monitor", more="&port=door")
    page.says("port is open")
    router.devices["door"].says(b"\n")
    sent = 0

    def goes_on():
        nonlocal sent
        sent += 1
        router.devices["door"].says(f"{sent}\n".encode())
        return page.js("document.querySelectorAll('.message').length") >= 100

    until(goes_on, "a hundred frames")
    shown = page.js("[...document.querySelectorAll('.message')].map((node) => parseInt(node.innerText.split(' ')[1]))")
    assert shown[::-1] == list(range(1, len(shown) + 1))


def test_a_wrong_file_is_marked_and_not_saved(router, look):
    page = look("config")
    page.says("The file is right: ports")
    right = router.config.read_text()
    page.enter(".tty2mqtt-editor .text", right.replace("decode: text", "decod: text"))
    line = str(right.split("\n").index("    decode: text") + 1)
    page.says(f"Line {line}")
    assert page.js("[...document.querySelectorAll('.gutter .bad')].map((line) => line.textContent.trim())") == [line]
    assert "decode" in page.text(".tty2mqtt-problems")
    shot(page, "config-wrong")
    page.click("Save & Apply")
    page.says("Not saved: the file has mistakes")
    assert router.config.read_text() == right
    page.js("document.querySelector('.tty2mqtt-problems a').click()")
    assert page.js("document.querySelector('.text').value.slice(document.querySelector('.text').selectionStart)").startswith("decod:")
    page.click("Reset")
    page.says("The file is right")


def test_a_right_file_is_saved_and_counts(router, look):
    page = look("config")
    old = router.config.read_text()
    new = old.replace("  door:", "  gate:")
    page.enter(".tty2mqtt-editor .text", new)
    page.click("Save & Apply")
    page.says("Saved and applied to: gate, door")
    assert router.config.read_text() == new
    assert sorted(router.ubus("status")["ports"]) == ["gate", "weather"]
    # What somebody else has changed meanwhile is not lost.
    theirs = f"# theirs\n{new}"
    router.config.write_text(theirs)
    page.enter(".tty2mqtt-editor .text", new + "# mine\n")
    page.click("Save & Apply")
    page.says("changed meanwhile by somebody else")
    assert router.config.read_text() == theirs
    router.stop_gateway()
    page = look("config")
    page.enter(".tty2mqtt-editor .text", new)
    page.click("Save & Apply")
    page.says("Saved. No gateway was running: it starts now if it is enabled")
    assert router.config.read_text() == new
    assert router.asked_of_init()[-1] == "reload"


def test_every_template_publishes_its_example(router, look):
    page = look("config")
    page.click("Add a port…")
    page.says("Choose a model", ".modal")
    kinds = page.js("[...document.querySelectorAll('#tty2mqtt-kind option')].map((option) => option.value).filter((kind) => kind)")
    assert len(kinds) >= 9
    page.enter("#tty2mqtt-device", "path: ")
    for n, kind in enumerate(kinds):
        page.enter("#tty2mqtt-name", f"new{n}")
        page.enter("#tty2mqtt-kind", kind)
        topic = "barn/pebble_1/" if kind == "aiko" else f"barn/new{n}/"
        page.says(topic, ".tty2mqtt-preview")
        assert not page.js("document.querySelector('.tty2mqtt-preview .error')"), page.text(".tty2mqtt-preview")
    shot(page, "wizard")
    page.enter("#tty2mqtt-name", "weather")
    page.wait("document.querySelector('.tty2mqtt-preview .error')")
    assert page.js("document.querySelector('.modal .important').disabled")
    page.enter("#tty2mqtt-name", "meter")
    page.click("Insert", ".modal")
    page.says("The file is right: ports")
    page.says("meter", ".tty2mqtt-problems")
    assert "\n  meter:\n" in page.js("document.querySelector('.tty2mqtt-editor .text').value")


def test_a_model_of_the_library_is_found_and_inserted(router, look):
    page = look("config")
    page.click("Add a port…")
    page.says("Choose a model", ".modal")
    listed = "[...document.querySelectorAll('#tty2mqtt-model option')].map((option) => option.value)"
    assert len(page.js(listed)) == len(router.ubus("models")["models"]) >= 19
    assert page.js("document.querySelector('.modal .important').disabled")
    page.enter("#tty2mqtt-device", "path: ")
    page.enter("#tty2mqtt-search", "ENERGY sdm630")
    page.wait(listed + ".join() == 'eastron-sdm630'")
    page.says("terminal A to A", ".modal")
    page.says("are published below barn/eastron-sdm630", ".tty2mqtt-preview")
    shot(page, "wizard-model")
    page.enter("#tty2mqtt-bus", "7")
    page.enter("#tty2mqtt-name", "house")
    page.says("are published below barn/house", ".tty2mqtt-preview")
    # A meter that speaks by itself has no address, and one that may encrypt has a key.
    shown = "['bus', 'key', 'line', 'sample'].filter((id) => document.querySelector(`#tty2mqtt-${id}`).checkVisibility())"
    assert page.js(shown) == ["bus"]
    page.enter("#tty2mqtt-search", "han-dlms")
    page.wait(shown + ".join() == 'key'")
    page.enter("#tty2mqtt-key", "/nowhere/meter.key")
    page.says("/nowhere/meter.key", ".tty2mqtt-preview .error")
    page.enter("#tty2mqtt-search", "no such device")
    page.says("Choose a model", ".modal")
    page.enter("#tty2mqtt-search", "sdm630")
    page.enter("#tty2mqtt-bus", "7")
    page.says("are published below barn/house", ".tty2mqtt-preview")
    page.click("Insert", ".modal")
    page.says("The file is right: ports")
    text = page.js("document.querySelector('.tty2mqtt-editor .text').value")
    assert '\n  house:\n    path: "/dev/ttyUSB0"\n    model: eastron-sdm630\n    address: 7\n' in text


HEARD = "9600 8N1: 12 frames\n  sure: Eastron SDM630\n\nports:\n  meter:\n    model: eastron-sdm630\n<img src=x>"


def test_detect_shows_how_far_it_is_and_what_it_found(router, look):
    page = look("config", width=390)
    port = {"path": "/dev/ttyUSB0", "config": "path: /dev/ttyUSB0", "usb": None, "note": None}
    play = """L.require('tty2mqtt.gateway').then((gateway) => {
        gateway.ports = () => Promise.resolve({ ports: [ %s ] });
        gateway.detect = (port) => { window.asked = port; return Promise.resolve({ running: true, text: '' }); };
        gateway.detected = () => Promise.resolve(window.heard ?? { running: true, text: '' });
    })"""
    page.js(play % json.dumps(port))
    page.click("Add a port…")
    page.says("Choose a model", ".modal")
    page.click("Detect", ".modal")
    page.says("Listening to /dev/ttyUSB0", ".modal")
    page.wait("document.querySelector('.tty2mqtt-heard progress').value > 0")
    assert page.js("window.asked") == "/dev/ttyUSB0"
    page.js("window.heard = { running: true, text: '9600 8N1: nothing' }; 1")
    page.says("9600 8N1: nothing", ".tty2mqtt-heard")
    shot(page, "wizard-detect")
    page.js(f"window.heard = {json.dumps({'running': False, 'text': HEARD})}; 1")
    page.says("12 frames", ".tty2mqtt-heard")
    assert "<img src=x>" in page.text(".tty2mqtt-heard")
    page.click("Take SDM630 three-phase energy meter", ".modal")
    page.says("are published below barn/eastron-sdm630", ".tty2mqtt-preview")
    fits(page)
    shot(page, "wizard-detected")
    page.size(1280, 900)
    fits(page)
    shot(page, "wizard-detected-wide")
    # Without a port of this machine there is nothing to listen to.
    page.enter("#tty2mqtt-device", "tcp: ")
    assert not page.js("[...document.querySelectorAll('.modal button')].find((b) => b.innerText == 'Detect').checkVisibility()")


def test_only_ports_of_this_machine_are_listened_to(router):
    for port in ["/etc/passwd", "--probe", "", "/dev/pts/0"]:
        assert "none of this machine's ports" in router.ubus("detect", port=port)["error"]
    assert router.ubus("detected")["running"] is False


SWITCHED = [
    ("gateway: a\nports:\n  b: {}\n", False, True, "gateway: a\nhome_assistant: true\n\nports:\n  b: {}\n"),
    ("home_assistant: true # yes\nports: {}\n", True, False, "home_assistant: false # yes\nports: {}\n"),
    ("ports: {}\nhome_assistant: false\n", False, True, "ports: {}\nhome_assistant: true\n"),
    ("a:\n  home_assistant: true\n", False, False, "a:\n  home_assistant: true\n"),
    ("home_assistant:\n  prefix: ha\n", None, None, None),
    ("home_assistant: {prefix: ha}\n", None, None, None),
]


@pytest.mark.parametrize("before, is_on, on, after", SWITCHED)
def test_the_switch_for_home_assistant_changes_one_line(page_of_draft, before, is_on, on, after):
    draft = "L.require('tty2mqtt.draft').then((d) => d.%s)"
    assert page_of_draft.js(draft % f"homeAssistant({json.dumps(before)})") == is_on
    if is_on is not None:
        assert page_of_draft.js(draft % f"setHomeAssistant({json.dumps(before)}, {json.dumps(on)})") == after


def test_home_assistant_is_switched_on(router, look):
    page = look("config")
    page.says("The file is right")
    switch = "document.querySelector('#tty2mqtt-home-assistant')"
    assert not page.js(switch + ".checked")
    page.js(switch + ".click()")
    page.says("The file is right")
    assert "\nhome_assistant: true\n" in page.js("document.querySelector('.tty2mqtt-editor .text').value")
    page.click("Reset")
    page.wait(f"!{switch}.checked")


INSERTIONS = [
    ("", "ports:\n  new:\n    line: x\n"),
    ("broker: b\n", "broker: b\n\nports:\n  new:\n    line: x\n"),
    ("ports: {}\nlog: x\n", "ports:\n  new:\n    line: x\nlog: x\n"),
    ("ports: # all\n", "ports: # all\n  new:\n    line: x\n"),
    ("ports:\n    a:\n        b: 1\n\n# end\nlog: x\n", "ports:\n    a:\n        b: 1\n    new:\n      line: x\n\n# end\nlog: x\n"),
    ("ports:\n  a:\n    b: 1\n# between\n  c: {}", "ports:\n  a:\n    b: 1\n# between\n  c: {}\n  new:\n    line: x"),
]


@pytest.mark.parametrize("before, after", INSERTIONS)
def test_a_new_port_leaves_the_other_lines_as_they_are(page_of_draft, before, after):


    call = f"L.require('tty2mqtt.draft').then((d) => d.insertPort({json.dumps(before)}, 'new', ['line: x']))"
    assert page_of_draft.js(call) == after


@pytest.fixture
def page_of_draft(look):
    return look("config")


def test_settings_are_uci(router, look):
    page = look("settings")
    kind = "document.getElementById('cbid.tty2mqtt.main.password').type"
    assert page.js(kind) == "password"
    page.enter("[id='cbid.tty2mqtt.main.url']", "http://broker")
    page.click("Save & Apply")
    page.says("An address such as")
    page.enter("[id='cbid.tty2mqtt.main.url']", "mqtts://broker.example.org")
    page.enter("[id='cbid.tty2mqtt.main.password']", "secret")
    page.enter("[id='cbid.tty2mqtt.main.interface']", "wan wan6")
    page.click("Save & Apply")
    until(lambda: router.options().get("password") == "secret", "the settings are saved")
    assert router.options()["url"] == "mqtts://broker.example.org"
    assert router.options()["interface"] == ["wan", "wan6"]
    shot(page, "settings")


def test_who_may_only_read_sees_and_changes_nothing(router, look):
    page = look("status", "reader")
    page.says("ready")
    disabled = "[...document.querySelectorAll('.tty2mqtt-buttons button')].filter((b) => b.disabled).map((b) => b.innerText)"
    assert page.js(disabled) == ["Reconnect", "Send a command…"]
    assert page.js("[...document.querySelectorAll('header.bar a')].map((link) => link.innerText)") == ["Status", "Monitor"]
    call = "L.require('tty2mqtt.gateway').then((g) => g.{}).then(() => 'done', (error) => error.message)"
    for method in ["reconnect()", "send('weather', 'relay/set', 'on')", "config()", "save('', '')", "ports()", "models()", "detect('/dev/ttyS0')", "detected()", "check('')"]:
        assert "Access denied" in page.js(call.format(method)), method
    for name in ["config", "settings"]:
        page.open(router.url(f"services/tty2mqtt/{name}", "reader"))
        assert "Forbidden" in page.js("document.body.innerText")
    tile = look("status/overview", "nobody")
    assert tile.text("#view").strip() == ""


LONG = "a_port_with_a_name_that_somebody_made_much_too_long_for_any_page"


def test_many_ports_and_long_names_on_a_phone(router, look):
    extra = "".join(
        f"  {name}:\n    path: DEV/{device}\n    line: 9600 8N1\n    decode: pairs\n"
        for name, device in [(LONG, "long"), *[(f"port{n}", f"p{n}") for n in range(9)], ("gone", "gone")]
    )
    router.write(router.config.read_text().split("\n", 1)[1] + extra)
    router.devices["gone"].path.unlink()
    assert router.ubus("save", **{k: router.ubus("config")[k] for k in ["text", "revision"]})["reload"]["ok"]
    router.ready()
    for n in range(9):
        router.devices[f"p{n}"].says(f"\ntemperature={20 + n}.5 note={'word' * 60}\n".encode())
    router.devices["long"].says(b"\n" + b"x" * 60 + b"=1.5\n")
    router.devices["weather"].says(b"\n21.50,40\n")
    status = look("status", width=375)
    status.wait(row("barn/port8/note"))
    status.wait(row("barn/port8/temperature") + ".querySelector('polyline')")
    fits(status)
    shot(status, "status-phone")
    status.size(1100, 900)
    fits(status)
    shot(status, "status-many")
    for name in ["monitor", "config", "settings"]:
        page = look(name, width=375)
        fits(page)
        shot(page, f"{name}-phone")
    page = look("status", width=1100, more="&dark=1")
    shot(page, "status-dark")
    wizard = look("config", width=375)
    wizard.click("Add a port…")
    wizard.says("Choose a model", ".modal")
    wizard.enter("#tty2mqtt-search", "eastron-sdm630")
    wizard.says("are published below", ".modal")
    fits(wizard)
    shot(wizard, "wizard-phone")


def test_no_data_yet(router, look):
    page = look("status")
    page.says("No values yet.")
    assert not page.js("document.querySelector('.tty2mqtt-values').checkVisibility()")
    shot(page, "status-empty")
