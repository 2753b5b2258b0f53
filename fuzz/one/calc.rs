//! Laws of expressions: an even first byte makes the rest a text, an odd one makes a tree of it, which is
//! written down, read, and calculated a second time with fractions.

use tty2mqtt::testing::base::path::Step;
use tty2mqtt::testing::codec::calc::{Expression, MOST_DECIMALS, Operand};
use tty2mqtt::testing::codec::decimal::Decimal;

/// The fields that trees name, and what they are in thousandths; the last one has no value.
const FIELDS: [(&str, Option<i128>); 4] =
    [("a", Some(1500)), ("b", Some(-7)), ("1-0:1.8.0", Some(0)), ("c", None)];

/// Checks the laws for one input; panics where one does not hold.
pub fn fuzz_one(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    match choice % 2 {
        0 => text(&String::from_utf8_lossy(rest)),
        _ => drop(tree(rest)),
    }
}

/// Reads any text, and calculates what it means.
pub fn text(text: &str) {
    match Expression::parse(text) {
        Ok(expression) => {
            value(&expression);
        }
        Err(error) => match error.path.0[..] {
            [Step::Characters { at, count }] => {
                assert!(at + count <= text.chars().count(), "{text:?}: {error}");
            }
            [] => assert!(text.chars().count() > 1000, "{text:?}: {error}"),
            _ => panic!("{text:?}: {error}"),
        },
    }
}

fn value<'a>(expression: &'a Expression) -> Option<Operand<'a>> {
    expression.value(&|n| {
        let name = &expression.names()[n].name;
        let known = FIELDS.iter().find(|(known, _)| known == name);
        let thousandths = known.and_then(|(_, value)| *value)?;
        Some(Operand::Number(Decimal::from(thousandths).shifted(-3).unwrap()))
    })
}

/// Makes a tree of bytes, and compares what is calculated. Returns whether the fractions had room for it.
pub fn tree(bytes: &[u8]) -> bool {
    let mut bytes = bytes.iter().copied();
    let tree = Tree::of(&mut bytes, 5);
    let mut text = String::new();
    tree.write(0, &mut bytes, &mut text);
    let expression = Expression::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let expected = match tree.value() {
        Ok(expected) => expected,
        Err(TooLarge) => return false,
    };
    let got = match value(&expression) {
        Some(Operand::Number(number)) => Some(Fraction::read(&number.spelled())),
        Some(other) => panic!("{text}: {other:?}"),
        None => None,
    };
    assert_eq!(got, expected, "{text}");
    true
}

/// The fraction has no room in 128 bits.
#[derive(Debug)]
struct TooLarge;

/// A fraction in its lowest terms, with a positive denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction(i128, i128);

impl Fraction {
    fn new(over: i128, under: i128) -> Fraction {
        let (mut a, mut b) = (over.abs(), under.abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let sign = under.signum();
        Fraction(sign * over / a.max(1), sign * under / a.max(1))
    }

    fn read(text: &str) -> Fraction {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits: i128 = format!("{whole}{decimals}").parse().unwrap();
        Fraction::new(digits, 10_i128.pow(decimals.len() as u32))
    }

    /// Small enough that neither a fraction nor a decimal runs out of its bits in the next step.
    fn bounded(self) -> Result<Fraction, TooLarge> {
        let is_small = self.0.abs() / self.1 < 1_000_000 && self.1 <= 10_i128.pow(12);
        if is_small { Ok(self) } else { Err(TooLarge) }
    }

    fn rounded(self, decimals: u8) -> Result<Fraction, TooLarge> {
        let (mut whole, mut rest) = (self.0.abs() / self.1, self.0.abs() % self.1);
        for _ in 0..decimals {
            rest = rest.checked_mul(10).ok_or(TooLarge)?;
            whole =
                whole.checked_mul(10).and_then(|n| n.checked_add(rest / self.1)).ok_or(TooLarge)?;
            rest %= self.1;
        }
        whole += i128::from(rest >= self.1 - rest);
        Ok(Fraction::new(self.0.signum() * whole, 10_i128.pow(decimals.into())))
    }

    fn sum(self, other: Fraction) -> Result<Fraction, TooLarge> {
        let left = self.0.checked_mul(other.1).ok_or(TooLarge)?;
        let right = other.0.checked_mul(self.1).ok_or(TooLarge)?;
        let under = self.1.checked_mul(other.1).ok_or(TooLarge)?;
        Fraction::new(left.checked_add(right).ok_or(TooLarge)?, under).bounded()
    }

    fn product(self, over: i128, under: i128) -> Result<Fraction, TooLarge> {
        let over = self.0.checked_mul(over).ok_or(TooLarge)?;
        let under = self.1.checked_mul(under).ok_or(TooLarge)?;
        let product = Fraction::new(over, under);
        if product.0.abs() / product.1 >= 1_000_000 {
            return Err(TooLarge);
        }
        product.rounded(MOST_DECIMALS)?.bounded()
    }

    fn is_less(self, other: Fraction) -> Result<bool, TooLarge> {
        Ok(self.sum(Fraction(-other.0, other.1))?.0 < 0)
    }
}

enum Tree {
    Number(String),
    Field(usize),
    Minus(Box<Tree>),
    /// One of `+ - * /`.
    Sum(char, Box<Tree>, Box<Tree>),
    Function(&'static str, Vec<Tree>),
    Round(Box<Tree>, u8),
    /// `if(a < b, c, d)`
    If(Box<[Tree; 4]>),
}

impl Tree {
    fn of(bytes: &mut impl Iterator<Item = u8>, depth: usize) -> Tree {
        let choice = bytes.next().unwrap_or(0);
        let mut below = || Tree::of(bytes, depth.saturating_sub(1));
        match choice % if depth == 0 { 3 } else { 12 } {
            0 => Tree::Number(format!("{}", choice / 12)),
            1 => Tree::Number(format!("{}.{:03}", choice % 7, choice)),
            2 => Tree::Field(usize::from(choice / 12) % FIELDS.len()),
            3 => Tree::Minus(Box::new(below())),
            4 => Tree::Function("min", vec![below(), below()]),
            5 => Tree::Function("max", vec![below(), below(), below()]),
            6 => Tree::Function("abs", vec![below()]),
            7 => Tree::Round(Box::new(below()), choice / 12 % 5),
            8 => Tree::If(Box::new([below(), below(), below(), below()])),
            n => {
                let sign = ['+', '-', '*', '/'][usize::from(n + choice / 12) % 4];
                Tree::Sum(sign, Box::new(below()), Box::new(below()))
            }
        }
    }

    /// Writes it where at least this rank is needed: 1 beside `+`, 2 beside `*`, 3 behind a sign.
    fn write(&self, needed: u8, bytes: &mut impl Iterator<Item = u8>, out: &mut String) {
        let rank = match self {
            Tree::Sum('+' | '-', ..) => 1,
            Tree::Sum(..) => 2,
            _ => 3,
        };
        let spare = bytes.next().unwrap_or(0);
        let has_brackets = rank < needed || spare.is_multiple_of(8);
        if spare % 4 == 1 {
            out.push(' ');
        }
        if has_brackets {
            out.push('(');
        }
        match self {
            Tree::Number(text) => out.push_str(text),
            Tree::Field(n) => match FIELDS[*n].0 {
                name if name.len() == 1 => out.push_str(name),
                name => *out += &format!("`{name}`"),
            },
            Tree::Minus(tree) => {
                out.push('-');
                tree.write(3, bytes, out);
            }
            Tree::Sum(sign, left, right) => {
                left.write(rank, bytes, out);
                out.push(*sign);
                right.write(rank + 1, bytes, out);
            }
            Tree::Function(name, trees) => {
                *out += name;
                for (n, tree) in trees.iter().enumerate() {
                    out.push(if n == 0 { '(' } else { ',' });
                    tree.write(0, bytes, out);
                }
                out.push(')');
            }
            Tree::Round(tree, decimals) => {
                *out += "round(";
                tree.write(0, bytes, out);
                *out += &format!(", {decimals})");
            }
            Tree::If(trees) => {
                *out += "if(";
                for (tree, behind) in trees.iter().zip(["<", ",", ",", ")"]) {
                    tree.write(0, bytes, out);
                    *out += behind;
                }
            }
        }
        if has_brackets {
            out.push(')');
        }
    }

    fn value(&self) -> Result<Option<Fraction>, TooLarge> {
        /// Leaves the function where there is no value.
        macro_rules! value {
            ($tree:expr) => {
                match $tree.value()? {
                    Some(value) => value,
                    None => return Ok(None),
                }
            };
        }
        let value = match self {
            Tree::Number(text) => Fraction::read(text),
            Tree::Field(n) => match FIELDS[*n].1 {
                Some(thousandths) => Fraction::new(thousandths, 1000),
                None => return Ok(None),
            },
            Tree::Minus(tree) => {
                let Fraction(over, under) = value!(tree);
                Fraction(-over, under)
            }
            Tree::Sum(sign, left, right) => {
                let (left, right) = (value!(left), value!(right));
                match sign {
                    '+' => left.sum(right)?,
                    '-' => left.sum(Fraction(-right.0, right.1))?,
                    '*' => left.product(right.0, right.1)?,
                    _ if right.0 == 0 => return Ok(None),
                    _ => left.product(right.1 * right.0.signum(), right.0.abs())?,
                }
            }
            Tree::Function("abs", trees) => {
                let Fraction(over, under) = value!(trees[0]);
                Fraction(over.abs(), under)
            }
            Tree::Function(name, trees) => {
                let mut best = value!(trees[0]);
                for tree in &trees[1..] {
                    let other = value!(tree);
                    let is_better =
                        if *name == "min" { other.is_less(best)? } else { best.is_less(other)? };
                    best = if is_better { other } else { best };
                }
                best
            }
            Tree::Round(tree, decimals) => value!(tree).rounded(*decimals)?,
            Tree::If(trees) => {
                let [left, right, yes, no] = &**trees;
                let (left, right) = (value!(left), value!(right));
                return if left.is_less(right)? { yes } else { no }.value();
            }
        };
        value.bounded().map(Some)
    }
}
