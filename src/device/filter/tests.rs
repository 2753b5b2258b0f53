use super::*;

fn filter(yaml: &str) -> Filter {
    let settings: FieldSettings =
        crate::config::tree::parse(&format!("{{name: f, {yaml}}}")).unwrap();
    Filter::build(&settings).unwrap()
}

fn number(text: &str) -> Decimal {
    Decimal::read(text).unwrap()
}

/// What the last of some values becomes that come each second.
fn last_of(filter: &Filter, values: impl Iterator<Item = Decimal>) -> Shaped {
    let (mut memory, start) = (Memory::default(), Instant::now());
    let seconds = (0..).map(|n| start + Duration::from_secs(n));
    let shaped = values.zip(seconds).map(|(value, at)| filter.shape(&mut memory, value, at));
    shaped.last().unwrap()
}

#[test]
fn a_median_is_of_the_last_values_that_there_is_room_for() {
    let filter = filter("window: {median: 100s}");
    let values = (0..100).map(|n: i128| Decimal::from(n));
    // Those from 36 to 99, and half is rounded away from zero.
    assert_eq!(last_of(&filter, values), Shaped::Other(Decimal::from(68)));
    let one = [number("1"), number("1")].into_iter().cycle().take(100);
    assert_eq!(last_of(&filter, one), Shaped::Same);
}

#[test]
fn numbers_beyond_128_bits_are_nothing_and_no_panic() {
    let huge = || Decimal::from(i128::MAX);
    let low = || Decimal::from(i128::MIN + 1);
    for yaml in [
        "window: {average: 1s}",
        "window: {median: 1s}",
        "wraps: 1000000000000000000000000000000000000",
        "rate: d",
        "valid: {step: 1}",
        "deadband: 1%",
    ] {
        let filter = filter(yaml);
        for values in [[huge(), huge(), low(), huge()], [low(), huge(), low(), low()]] {
            last_of(&filter, values.into_iter());
        }
        let mut memory = Memory::default();
        for value in [huge(), low(), number("0.000001")] {
            let text = value.spelled();
            let value = Value::Number((&*text).into());
            filter.passes(&mut memory, &value, false, Instant::now());
        }
    }
}
