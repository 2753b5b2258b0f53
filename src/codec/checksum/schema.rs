//! What the manual and editors know of checksums.

use super::{Checksum, ChecksumSettings, OwnChecksum, kind};
use crate::base::scalar::word_schema;

const ABOUT: &str = "Checksum at the end of each frame, by its usual name: `crc16-modbus`, or with \
settings `{xor8: {format: hex, separator: \"*\"}}`. CRC names are those of the CRC RevEng catalogue, \
`crc16-usb` for CRC-16/USB; any other CRC is given by its parameters, `{crc: {width: 8, poly: 0x31}}`.

It covers all bytes of the frame before it, including the start and end delimiters; `from` excludes the \
first ones. With `escape` it covers the unescaped bytes, without delimiters; with `over: escaped` the same bytes \
as they came over the line.";

impl schemars::JsonSchema for Checksum {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Checksum".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let settings = generator.subschema_for::<ChecksumSettings>();
        let kinds = kind::described().into_iter().map(|(name, about)| {
            schemars::json_schema!({
                "description": about,
                "type": "object",
                "properties": {name: settings},
                "required": [name],
                "additionalProperties": false,
            })
        });
        let kinds: Vec<_> = kinds.collect();
        schemars::json_schema!({ "description": ABOUT, "oneOf": kinds })
    }
}

word_schema!(OwnChecksum, generator: {
    "anyOf": [{"const": "none"}, generator.subschema_for::<Checksum>()]
});
