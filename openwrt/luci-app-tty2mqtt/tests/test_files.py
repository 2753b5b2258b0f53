"""What can be said of the app's files without a browser."""

import json
import re
import subprocess

import pot
import pytest
from router import ACL, APP, MENU

RESOURCES = APP / "htdocs/luci-static/resources"


def declared():
    """The methods that the pages call."""
    source = (RESOURCES / "tty2mqtt/gateway.js").read_text()
    return set(re.findall(r"method\('(\w+)'", source))


def granted(half):
    groups = [group.get(half, {}) for group in ACL.values()]
    return {method for group in groups for method in group.get("ubus", {}).get("luci.tty2mqtt", [])}


def test_every_method_is_granted_once_and_none_else(router):
    offered = json.loads(router.plugin(["list"]))
    assert declared() == set(offered) == granted("read") | granted("write")
    assert not granted("read") & granted("write")


def test_who_may_only_read_changes_nothing_and_sees_no_password():
    assert granted("read") == {"status", "monitor"}
    assert not any("uci" in group.get("read", {}) or "file" in group.get("read", {}) for group in ACL.values())
    assert "*" not in json.dumps(ACL)


def test_only_declared_methods_are_called():
    for file in RESOURCES.glob("**/*.js"):
        source = file.read_text()
        if file.name != "gateway.js":
            assert "rpc.declare" not in source and "'require fs'" not in source, file
    assert len(declared()) == (RESOURCES / "tty2mqtt/gateway.js").read_text().count("method('")


def test_menu_leads_to_pages_and_groups_that_exist():
    for entry in MENU.values():
        if entry["action"]["type"] == "view":
            assert (RESOURCES / f"view/{entry['action']['path']}.js").is_file()
        assert all(group in ACL for group in entry.get("depends", {}).get("acl", []))


def test_nothing_becomes_markup():
    """Children of nodes stand in arrays: LuCI makes markup of a text that does not."""
    for file in RESOURCES.glob("**/*.js"):
        source = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser", source), file
        assert not re.search(r"E\('[^']+', *('|_\(|`)", source), file


def test_template_has_every_text():
    assert pot.POT.read_text() == pot.template(), "run tests/pot.py"
    calls = sum(len(re.findall(r"\b_\(", f.read_text())) for f in RESOURCES.glob("**/*.js"))
    literals = sum(len(pot.CALL.findall(f.read_text())) for f in RESOURCES.glob("**/*.js"))
    assert calls == literals, "a text is put together at run time and cannot be translated"


def test_plugin_refuses_what_it_does_not_know(router):
    for arguments, text in [(["call", "stop"], "{}"), (["call"], "{}"), (["call", "send"], "[1"), ([], "")]:
        with pytest.raises(subprocess.CalledProcessError):
            router.plugin(arguments, text)
    assert "no port" in router.ubus("monitor", port="nope")["error"]
    assert "no command" in router.ubus("send", port="weather", command="nope")["error"]
