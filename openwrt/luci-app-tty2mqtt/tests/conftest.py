import pytest

from browser import Browser
from router import Router

CONFIG = """\
gateway: barn
broker: {url: BROKER}
ports:
  weather:
    path: DEV/weather
    line: 9600 8N1
    decode: {fields: {names: [{name: temperature, unit: °C}, humidity]}}
    commands:
      - {topic: "{gateway}/{port}/relay/set", send: "(relay {payload});", terminator: "\\n"}
      - {topic: "{gateway}/{port}/lamp/+", send: "lamp {payload}", terminator: "\\n"}
  door:
    path: DEV/door
    line: 9600 8N1
    decode: text
"""


@pytest.fixture(scope="session")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def router():
    router = Router(CONFIG)
    router.ready()
    yield router
    router.close()


@pytest.fixture
def look(browser, router):
    """Opens a page of the app; at the end none of them may have had an error in a script."""
    pages = []

    def look(name, session="admin", width=1100, more=""):
        path = name if name.startswith("status/") else f"services/tty2mqtt/{name}"
        page = browser.page(router.url(path, session, more), width)
        pages.append(page)
        return page

    yield look
    errors = [page.errors() for page in pages]
    for page in pages:
        page.close()
    assert not any(errors), errors
