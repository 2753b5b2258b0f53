use crate::base::clock::Now;
use crate::base::scalar::Name;
use crate::config::load;
use crate::device::Device;
use std::path::Path;
use std::time::Duration;

/// A device with these `fields`, whose frames are columns `a` and `b`, or node lines.
fn device(decode: &str, fields: &str) -> Device {
    let text = format!(
        "gateway: gw\nbroker: {{url: mqtt://x}}\nports:\n  p:\n    path: /dev/null\n    line: 9600 8N1\n    \
         decode: {decode}\n    fields: {fields}\n"
    );
    let (config, _) = load::parse("test", &text, Path::new("/")).unwrap_or_else(|e| panic!("{e}"));
    let name: Name = "p".parse().unwrap();
    Device::build(&config.ports[&name].device(&config.gateway, &name)).unwrap()
}

const COLUMNS: &str = "{fields: {names: [a, b]}}";

fn said(device: &mut Device, text: &str, now: Now) -> Vec<String> {
    let mut out = Vec::new();
    device.push(text.as_bytes(), now, &mut out);
    let said = out.iter().map(|it| {
        let payload = String::from_utf8_lossy(&it.message.payload);
        format!("{}={payload}", it.message.topic.as_str().trim_start_matches("gw/"))
    });
    said.collect()
}

#[test]
fn what_filters_know_survives_a_reload_that_leaves_their_field_as_it_is() {
    let start = Now::read();
    let now = start.after(Duration::from_secs(10));
    let fields = "{a: {on_change: true, min_interval: 10s}, c: {calc: b, rate: s}}";
    let mut before = device(COLUMNS, fields);
    before.opened(start.mono);
    assert_eq!(said(&mut before, "1,10\n", now), ["p/a=1", "p/b=10"]);
    let left = before.stop();
    // The same settings of a and c beside others.
    let more = fields.replace("rate: s}}", "rate: s}, d: {calc: a * 2}}");
    let mut after = device(COLUMNS, &more);
    let later = now.after(Duration::from_secs(20));
    after.coming(Some(left), later.mono);
    after.opened(now.mono);
    assert_eq!(said(&mut after, "1,30\n", later), ["p/b=30", "p/c=1.000", "p/d=2"]);
    let left = after.stop();
    // Another setting of a: it begins anew.
    let mut changed = device(COLUMNS, &fields.replace("10s", "11s"));
    let later = later.after(Duration::from_secs(20));
    changed.coming(Some(left), later.mono);
    changed.opened(now.mono);
    assert_eq!(said(&mut changed, "1,50\n", later), ["p/a=1", "p/b=50", "p/c=1.000"]);
}

#[test]
fn each_node_of_a_device_is_filtered_and_calculated_by_itself() {
    let start = Now::read();
    let now = start.after(Duration::from_secs(10));
    let fields = "{t: {on_change: true}, f: {calc: t * 1.8 + 32, decimals: 1}, sum: {calc: t + u}}";
    let mut device = device("sexpr", fields);
    device.opened(start.mono);
    for (text, expected) in [
        (
            "(node x ? (t 20 C)) (node y ? (t 20 C))\n",
            &["x/t=20", "x/f=68.0", "y/t=20", "y/f=68.0"][..],
        ),
        ("(node x ? (t 20 C))\n", &["x/f=68.0"]),
        ("(node y ? (u 1))\n", &["y/u=1", "y/sum=21"]),
        ("(node x ? (u 2) (t 21 C))\n", &["x/u=2", "x/t=21", "x/f=69.8", "x/sum=23"]),
        // A node that failed says nothing about the other one.
        (
            "(node x ? (t 2;1 C))\n(node y ? (u 3) (t 22 C))\n",
            &["y/u=3", "y/t=22", "y/f=71.6", "y/sum=25"],
        ),
    ] {
        assert_eq!(said(&mut device, text, now), expected, "{text}");
    }
}

#[test]
fn nothing_is_calculated_from_values_that_are_too_old() {
    let start = Now::read();
    let now = start.after(Duration::from_secs(10));
    let mut device = device("pairs", "{sum: {calc: a + b, max_age: 5s}, late: {calc: a - b}}");
    device.opened(start.mono);
    assert_eq!(said(&mut device, "a=3\n", now), ["p/a=3"]);
    let in_time = now.after(Duration::from_secs(5));
    assert_eq!(said(&mut device, "b=1\n", in_time), ["p/b=1", "p/late=2", "p/sum=4"]);
    let too_late = in_time.after(Duration::from_secs(6));
    assert_eq!(said(&mut device, "a=4\n", too_late), ["p/a=4"], "b has not come anew");
    let far_too_late = too_late.after(Duration::from_secs(61));
    assert_eq!(said(&mut device, "b=2\n", far_too_late), ["p/b=2"]);
    assert_eq!(said(&mut device, "a=5\n", far_too_late), ["p/a=5", "p/late=3", "p/sum=7"]);
}

#[test]
fn nodes_are_bounded() {
    let start = Now::read();
    let now = start.after(Duration::from_secs(10));
    let mut device = device("sexpr", "{t: {on_change: true}}");
    device.opened(start.mono);
    let line = |n: usize| format!("(node n{n} ? (t 1))\n");
    for n in 0..super::MOST_NODES {
        let now = now.after(Duration::from_secs(n as u64));
        assert_eq!(said(&mut device, &line(n), now).len(), 1);
    }
    let now = now.after(Duration::from_secs(1000));
    assert_eq!(said(&mut device, &line(0), now), [""; 0]);
    assert_eq!(said(&mut device, &line(1000), now).len(), 1);
    // The one that was silent for longest is forgotten.
    assert_eq!(said(&mut device, &line(1), now).len(), 1);
    assert_eq!(said(&mut device, &line(0), now), [""; 0]);
}
