//! Writes `docs/CONFIG.md` and `config/schema.json` from the config types.

use super::{Config, old_names};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "\
# The configuration file

Generated from the types in the source; `UPDATE=1 cargo test config_docs` regenerates it.
`tty2mqtt check FILE` reports every mistake in a file. With the comment
`# yaml-language-server: $schema=schema.json` in its first line, editors complete and check it by
`config/schema.json`.

Time spans are written `20ms`, `5s`, `10min`, `1h`, `1d`; sizes `512`, `64KiB`, `4MiB`. Bytes are
written as text, `\"\\r\\n\"`, or in hexadecimal digits, `\"hex:42 4D\"`. Relative paths start at the
folder of the file. Where a key takes one of several words, the word alone, `framing: gap`, means
its defaults; a map, `framing: {gap: {after: 20ms}}`, changes its settings.

The file is UTF-8 and has at most 1 MiB, 100,000 keys and values, and 64 levels of maps and lists.
At most 50 mistakes are reported at once.
";

const FIELDS: &str = "
## Expressions and filters of fields

What `calc` takes, the names of fields being those of one device:

```text
expression = sum [ ( \"=\" | \"==\" | \"!=\" | \"<\" | \"<=\" | \">\" | \">=\" ) sum ]
sum        = product { ( \"+\" | \"-\" ) product }
product    = factor { ( \"*\" | \"/\" ) factor }
factor     = \"-\" factor | number | text | name | \"none\" | call | \"(\" expression \")\"
call       = ( \"if\" | \"min\" | \"max\" | \"abs\" | \"round\" ) \"(\" expression { \",\" expression } \")\"
name       = letter { letter | digit | \"_\" } | \"`\" any characters \"`\"
text       = \"'\" any characters \"'\"
```

An expression has at most 1000 characters, 200 numbers, names and operators, and 32 levels. Texts are equal or
not; `<` and arithmetic with them have no value. A comparison alone is `true` or `false`; `lookup` has other words
for it. A part of `if` that is not chosen may be without a value, but each field that is named anywhere needs one.

What becomes of a value behind its decoder, in this order: `valid`, `wraps`, `rate`, `window`, `decimals`; then other
`calc` see it; then `on_change`, `deadband`, `min_interval` and `max_interval` decide whether it is published. A
text passes the first four as it is. Nothing is published because time passes: each message has a value that has
just come. A value that is read back behind a command is published whatever these four say. All of this is for each
node of a device by itself, of 64 nodes at most; beyond, the one that was silent for longest is forgotten. What is
held back counts as `filtered`, what is not `valid` as `refused` (`implausible`); neither changes whether a
device is available, nor when it answered last. What is remembered of a field survives a reload that leaves its
settings as they are, and no restart.
";

fn schema(settings: SchemaSettings) -> Value {
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

/// The schema as editors need it: a word alone stands for a map without settings, and there is
/// nothing that only the manual needs, nor the formats of Rust's whole numbers, which validators do
/// not know.
fn for_editors(schema: &mut Schema) {
    for word in ["x-kind", "format"] {
        // `remove` would change the order of the others.
        schema.as_object_mut().and_then(|keys| keys.shift_remove(word));
    }
    let Some(Value::Array(choices)) = schema.get_mut("oneOf") else { return };
    let words = choices.iter().filter_map(|choice| choice["properties"].as_object());
    let words: Vec<_> = words.flat_map(Map::keys).cloned().collect();
    if !words.is_empty() {
        choices.push(serde_json::json!({"enum": words}));
    }
}

fn manual() -> String {
    let schema = schema(SchemaSettings::draft07());
    let empty = Map::new();
    let definitions = schema["definitions"].as_object().unwrap_or(&empty);
    let mut text = HEAD.to_owned();
    let mut waiting = vec![("Config".to_owned(), &schema)];
    let mut seen = HashSet::new();
    while !waiting.is_empty() {
        let (name, schema) = waiting.remove(0);
        let mut next = Vec::new();
        describe(&name, schema, &mut text, &mut next);
        // What a type refers to follows right behind it.
        let next = next.into_iter().filter(|name| seen.insert(name.clone())).collect::<Vec<_>>();
        let next = next.iter().filter_map(|name| Some((name.clone(), definitions.get(name)?)));
        waiting.splice(0..0, next.collect::<Vec<_>>());
    }
    text + FIELDS
}

/// A type's name for people who know its keys and not the source.
fn title(name: &str) -> &str {
    match name {
        "Config" => "The whole file",
        "CommandRule" => "Command",
        "Described" => "Reply",
        "EscapeTable" => "Escape table",
        "FieldOverride" => "Field override",
        "FieldSettings" => "Field",
        "FrameKind" => "Frame",
        "LengthField" => "Length field",
        "LineByReply" => "Line by reply",
        "Mapping" => "Message",
        "Mode" => "Modbus",
        "ModemLine" => "Modem line",
        "NamedCommand" => "Named command",
        "NumberSettings" => "Number",
        "OnBus" => "Device on a bus",
        "OutboxBounds" => "Outbox",
        "PollSettings" => "Poll",
        "RateUnit" => "Rate",
        "RegisterSettings" => "Register",
        "Rs485" => "RS-485",
        "RtsDelays" => "RTS delays",
        "StateSettings" => "State",
        "StepSettings" => "Step",
        "WriteSettings" => "Write",
        "ChecksumFormat" => "Checksum format",
        "ChecksumSettings" => "Checksum settings",
        "DecimalSign" => "Decimal sign",
        "StateClass" => "State class",
        // The framing of the same name comes first.
        "Sml2" => "SML messages",
        "VeDirect" => "VE.Direct",
        "TlsSettings" => "TLS",
        name => name,
    }
}

fn describe(name: &str, schema: &Value, text: &mut String, next: &mut Vec<String>) {
    let about =
        |schema: &Value| schema["description"].as_str().unwrap_or_default().replace('\n', " ");
    write!(text, "\n## {}\n\n{}\n", title(name), about(schema)).unwrap();
    if let Some(keys) = schema["properties"].as_object() {
        let needed: Vec<_> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        text.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for (key, schema) in keys {
            let default = match (&schema["default"], needed.contains(&key.as_str())) {
                (_, true) => "needed".to_owned(),
                (Value::Null, _) => String::new(),
                (value, _) => format!("`{}`", value.to_string().replace('|', "\\|")),
            };
            let value = value_of(schema, next);
            let about = about(schema).replace('|', "\\|");
            let old = old_names::old_name(name, key);
            let old = old.map_or(String::new(), |old| format!(" Old name: `{old}`."));
            writeln!(text, "| `{key}` | {value} | {default} | {about}{old} |").unwrap();
        }
    }
    let words = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
    if let Some(words) = words {
        text.push_str("\n| word | meaning |\n|---|---|\n");
        for word in words {
            let about = about(word);
            if let Some(keys) = word["properties"].as_object() {
                for (key, schema) in keys {
                    let value = value_of(schema, next);
                    writeln!(text, "| `{key}`: {value} | {about} |").unwrap();
                }
            } else {
                let values = word["enum"].as_array().into_iter().flatten().chain([&word["const"]]);
                for value in values.filter_map(Value::as_str) {
                    writeln!(text, "| `{value}` | {about} |").unwrap();
                }
            }
        }
    }
}

/// What a key takes, with links to the types that are described by themselves.
fn value_of(schema: &Value, next: &mut Vec<String>) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        next.push(name.to_owned());
        let title = title(name);
        return format!("[{title}](#{})", title.to_lowercase().replace(' ', "-").replace('.', ""));
    }
    if let Some(choices) = schema["allOf"].as_array().or(schema["anyOf"].as_array()) {
        let shown = choices.iter().map(|choice| value_of(choice, next));
        return shown.filter(|shown| shown != "nothing").collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
    }
    if let Some(kind) = schema["x-kind"].as_str() {
        return kind.to_owned();
    }
    let one = std::slice::from_ref(&schema["type"]);
    let kinds = schema["type"].as_array().map_or(one, Vec::as_slice).iter();
    let shown = kinds.filter_map(Value::as_str).filter(|kind| *kind != "null");
    let shown = shown.map(|kind| match kind {
        "array" => format!("list of {}", value_of(&schema["items"], next)),
        "object" => match &schema["additionalProperties"] {
            values @ Value::Object(_) => format!("map of names to {}", value_of(values, next)),
            _ => "map".to_owned(),
        },
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        other => other.to_owned(),
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { "nothing".into() } else { shown.join(" or ") }
}

#[test]
fn config_docs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let editors = SchemaSettings::draft07().with_transform(RecursiveTransform(for_editors));
    let schema = serde_json::to_string_pretty(&schema(editors)).unwrap() + "\n";
    for (file, expected) in [("docs/CONFIG.md", manual()), ("config/schema.json", schema)] {
        let path = root.join(file);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &expected).unwrap();
        }
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(is == expected, "{file} is out of date; renew it: UPDATE=1 cargo test config_docs");
    }
}
