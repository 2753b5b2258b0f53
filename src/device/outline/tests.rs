use super::*;
use crate::config::load;

/// The devices of a configuration with these settings of its port `p`.
fn outlines(port: &str) -> Vec<Outline> {
    let text = format!(
        "gateway: gw\nbroker: {{url: \"mqtt://x\"}}\nports:\n  p: {{path: /dev/p, line: 9600, {port}}}\n"
    );
    let (config, _) = load::parse("c", &text, std::path::Path::new("/")).unwrap();
    let (name, port) = config.ports.first_key_value().unwrap();
    let settings = port.device(&config.gateway, name);
    Device::build(&settings).unwrap().outlines(&settings)
}

/// Each field: its name, topic, member of the payload, and seconds to the next value.
fn fields(outline: &Outline) -> Vec<String> {
    let shown = outline.fields.iter().map(|field| {
        let place = field.place.as_ref().map_or("-".into(), |place| {
            let member = place.member.as_deref().map_or(String::new(), |it| format!("[{it}]"));
            format!("{}{member}", place.topic)
        });
        let lasts = field.lasts.map_or("-".into(), |lasts| lasts.as_secs().to_string());
        format!("{} {place} {lasts}", field.name)
    });
    shown.collect()
}

#[test]
fn registers_say_when_their_values_come_and_what_they_take() {
    let all = outlines(
        "devices: {house: {address: 1, interval: 5s, registers: {u: {input: 0, unit: V, scale: 0.1}, \
         e: {input: 2, type: u32, unit: kWh, on_change: true, max_interval: 10min}, \
         t: {holding: 0, type: i16, scale: 0.5, unit: °C, deadband: 1, write: {min: 5, max: 30}}, \
         r: {coil: 0, write: true}}, fields: {sum: {calc: u + e, unit: V}}}}",
    );
    let [house] = &all[..] else { panic!("{all:?}") };
    assert!(house.device == "house" && house.is_asked && !house.is_open);
    assert_eq!(
        fields(house),
        [
            "e gw/house/e 605",
            "r gw/house/r 5",
            "t gw/house/t -",
            "u gw/house/u 5",
            "sum gw/house/sum 5"
        ]
    );
    let decimals = house.fields.iter().map(|field| field.values.decimals);
    assert_eq!(decimals.collect::<Vec<_>>(), [Some(0), Some(0), Some(1), Some(1), None]);
    let bit = &house.fields[1].values;
    assert_eq!((&bit.words[..], bit.is_closed), (&["OFF".into(), "ON".into()][..], true));
    let [relay, target] = &house.commands[..] else { panic!("{house:?}") };
    assert_eq!(relay.topic.as_str(), "gw/house/r/set");
    assert_eq!(relay.takes, Takes::Words(vec!["OFF".into(), "ON".into()]));
    let Takes::Number { bounds, .. } = &target.takes else { panic!("{target:?}") };
    let spelled = |it: Option<Decimal>| it.map(Decimal::spelled);
    let bounds = [bounds.min(), bounds.max(), bounds.step()].map(spelled);
    assert_eq!(bounds.map(Option::unwrap), ["5", "30", "0.5"]);
}

#[test]
fn messages_say_where_a_value_stands() {
    let json = "decode: {fields: {separator: \",\", names: [a, {name: b, unit: V}, c]}}, messages: \
                [{topic: \"x/{node}\", per: frame, fields: [a]}, {topic: \"y/{field}\", payload: \"{json}\", \
                fields: [b]}, {topic: z, payload: \"{value} {unit}\"}]";
    let all = outlines(json);
    assert_eq!(fields(&all[0]), ["a x/p[a] -", "b y/b[value] -", "c - -"]);
    assert!(!all[0].is_asked);
    let all = outlines("decode: {json: {node: /id}}");
    assert!(all[0].is_open && all[0].fields.is_empty());
    let all = outlines("decode: {json: {node: /id, fields: [{name: t, from: /t, unit: °C}, id]}}");
    assert!(all[0].fields.iter().all(|field| field.has_nodes), "{all:?}");
}

#[test]
fn commands_say_what_they_take() {
    let all = outlines(
        "commands: {a: {send: \"x\"}, b: {send: \"{value}\"}, c: {send: {\"ON\": \"1\", \"OFF\": \"0\"}, \
         state: assumed}, d: {values: {eco: \"1\"}, send: \"{value}\"}, e: {send: \"hex: 01 {value}\", \
         number: {type: u8, max: 100}}}",
    );
    let takes: Vec<_> = all[0].commands.iter().map(|command| &command.takes).collect();
    let words = |words: &[&str]| Takes::Words(words.iter().map(|it| (*it).into()).collect());
    assert_eq!(takes[..2], [&Takes::Anything, &Takes::Text { longest: None }]);
    assert_eq!(takes[2..4], [&words(&["OFF", "ON"]), &words(&["eco"])]);
    assert!(matches!(takes[4], Takes::Number { is_whole: true, .. }), "{takes:?}");
    assert_eq!(all[0].commands[2].state.as_ref().map(Topic::as_str), Some("gw/p/c"));
}
