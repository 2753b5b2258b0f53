use super::*;

fn known<'a>(name: &str) -> Option<Operand<'a>> {
    let number = |text: &str| Some(Operand::Number(Decimal::read(text)?));
    match name {
        "volume" => number("523.40"),
        "power import" => number("2"),
        "zero" => number("0"),
        "huge" => number("170141183460469231731687303715884105727"),
        "state" => Some(Operand::Text("on")),
        "alarm" => Some(Operand::Bool(true)),
        _ => None,
    }
}

/// The value as it would be published; `-` for none.
fn value(text: &str) -> String {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    match expression.value(&|n| known(&expression.names()[n].name)) {
        Some(Operand::Number(number)) => number.spelled().into(),
        Some(Operand::Text(text)) => format!("'{text}'"),
        Some(Operand::Bool(yes)) => yes.to_string(),
        None => "-".into(),
    }
}

#[test]
fn arithmetic_is_exact_and_follows_its_rules() {
    for (text, expected) in [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("7 - 2 - 1", "4"),
        ("8 / 4 / 2", "1"),
        ("-2 * -3", "6"),
        ("--2", "2"),
        ("2 - -2", "4"),
        ("0.1 + 0.2", "0.3"),
        ("1.50 * 2", "3.00"),
        ("1 / 3", "0.333333333333"),
        ("2 / 3", "0.666666666667"),
        ("-2 / 3", "-0.666666666667"),
        ("volume / 1000 * 100", "52.3400"),
        ("1 / 3 * 3", "0.999999999999"),
        ("0.0000001 * 0.0000005", "0.000000000000"),
        ("0.0000001 * 0.000005", "0.000000000001"),
        ("1e3", "1000"),
        ("`power import` * 2", "4"),
        (" volume\n+\t1 ", "524.40"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn functions_and_comparisons() {
    for (text, expected) in [
        ("min(3, -1, 2)", "-1"),
        ("max(3, 10, 2, 4)", "10"),
        ("min(1.50, 1.5)", "1.50"),
        ("abs(-2.50)", "2.50"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(2.345, 2)", "2.35"),
        ("round(2, 2)", "2.00"),
        ("if(volume > 500, 1, 0)", "1"),
        ("if(volume <= 500, 1, 0)", "0"),
        ("1.0 = 1", "true"),
        ("1 == 2", "false"),
        ("1 != 2", "true"),
        ("1 >= 1", "true"),
        ("1 < 1", "false"),
        ("state = 'on'", "true"),
        ("'off' = state", "false"),
        ("state != 'on'", "false"),
        ("if(alarm, 'yes', 'no')", "'yes'"),
        ("alarm = 'true'", "true"),
        ("if(2, 1, 0)", "1"),
        ("if(0, 1, 0)", "0"),
        ("state = 1", "false"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn what_has_no_value_makes_none_where_it_counts() {
    for (text, expected) in [
        ("1 / 0", "-"),
        ("volume / zero", "-"),
        ("volume / (1 - 1)", "-"),
        ("unknown + 1", "-"),
        ("min(1, unknown)", "-"),
        ("none", "-"),
        ("if(zero > 0, volume / zero, 0)", "0"),
        ("if(zero > 0, volume, none)", "-"),
        ("if(state, 1, 0)", "-"),
        ("state + 1", "-"),
        ("state < 'x'", "-"),
        ("alarm + 1", "-"),
        ("huge * huge", "-"),
        ("huge + huge", "-"),
        ("0 - huge - huge", "-"),
        ("huge / 3", "-"),
        ("huge > 0.0001", "true"),
        ("-huge < 0.0001", "true"),
        ("0.0001 > huge", "false"),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

/// What is wrong, the characters that are, and the remedy.
fn mistake(text: &str) -> (String, String) {
    let error = Expression::parse(text).unwrap_err();
    let [Step::Characters { at, count }] = error.path.0[..] else { panic!("{text}: {error}") };
    let marked: String = text.chars().skip(at).take(count).collect();
    let at_end = if at == text.chars().count() { "END" } else { &marked };
    (at_end.to_owned(), error.what.clone())
}

#[test]
fn mistakes_have_their_characters() {
    let missing = "a value is missing before this";
    let operator = "an operator is missing before this";
    for (text, marked, what) in [
        ("", "END", "a value is missing here"),
        ("volume +", "END", "a value is missing here"),
        ("volume + * 2", "*", missing),
        ("volume 2", "2", operator),
        ("größe # 2", "#", "'#' means nothing here"),
        ("größe % 2", "%", "'%' means nothing here"),
        ("\"on\"", "\"", "'\"' means nothing here"),
        ("0x1F + 1", "0x1F", "\"0x1F\" is not a decimal number"),
        ("1.8.0", "1.8.0", "\"1.8.0\" is not a decimal number"),
        ("5V", "5V", "\"5V\" is not a decimal number"),
        ("0,5", ",", "a comma stands between the values of a function only"),
        ("(0,5)", ",", "a comma stands between the values of a function only"),
        ("(volume", "END", "a bracket is not closed"),
        ("volume)", ")", "this bracket closes nothing"),
        ("sqrt(4)", "sqrt", "there is no function \"sqrt\""),
        ("if(volume, 1)", "if", "if has 2 values"),
        ("min(1)", "min", "min has 1 value"),
        ("abs(1, 2)", "abs", "abs has 2 values"),
        ("abs()", ")", missing),
        ("round(1, 2, 3)", ",", "round has two values at most"),
        ("round(1, volume)", "volume", "the number of decimals is written in digits"),
        ("round(1, 13)", "13", "the number of decimals is written in digits"),
        ("1 < volume < 3", "<", "a comparison has two sides"),
        ("state = 'on", "'", "this quote does not end"),
        ("`power", "`", "this quote does not end"),
        ("``", "``", "a field has a name"),
    ] {
        assert_eq!(mistake(text), (marked.to_owned(), what.to_owned()), "{text}");
    }
}

#[test]
fn an_expression_is_bounded() {
    let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
    assert!(Expression::parse(&nested(DEEPEST - 1)).is_ok());
    assert!(Expression::parse(&nested(DEEPEST)).is_err());
    assert!(Expression::parse(&"-".repeat(LONGEST)).is_err());
    assert!(Expression::parse(&"if(".repeat(300)).is_err());
    let sum = |n: usize| vec!["1"; n].join("+");
    assert_eq!(value(&sum(100)), "100");
    assert!(Expression::parse(&sum(101)).is_err());
    assert!(Expression::parse(&" ".repeat(LONGEST + 1)).is_err());
}

#[test]
fn each_field_is_named_once_with_its_first_place() {
    let expression = Expression::parse("a + `b c` * a - none").unwrap();
    let mention = |name: &str, at, count| Mention {
        name: name.into(),
        place: Step::Characters { at, count },
    };
    assert_eq!(expression.names(), [mention("a", 0, 1), mention("b c", 4, 5)]);
}
