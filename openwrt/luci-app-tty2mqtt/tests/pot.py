"""The template for translations: every text of the app. `python pot.py` writes it anew."""

import ast
import json
import pathlib
import re

APP = pathlib.Path(__file__).resolve().parent.parent
POT = APP / "po/templates/tty2mqtt.pot"

CALL = re.compile(r"\b_\(('(?:[^'\\]|\\.)*')\)")


def texts():
    """Each text with the files that it is in."""
    found = {}
    for file in sorted(APP.glob("htdocs/**/*.js")):
        for literal in CALL.findall(file.read_text()):
            found.setdefault(ast.literal_eval(literal), []).append(file)
    menu, acl = APP.glob("root/usr/share/*/menu.d/*.json"), APP.glob("root/usr/share/rpcd/acl.d/*.json")
    for file, key in [(next(menu), "title"), (next(acl), "description")]:
        for entry in json.loads(file.read_text()).values():
            found.setdefault(entry[key], []).append(file)
    return found


def template():
    parts = ['msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"\n']
    for text, files in sorted(texts().items()):
        places = "".join(f"#: {path}\n" for path in sorted({str(f.relative_to(APP)) for f in files}))
        parts.append(f'{places}msgid {json.dumps(text, ensure_ascii=False)}\nmsgstr ""\n')
    return "\n".join(parts)


if __name__ == "__main__":
    POT.write_text(template())
