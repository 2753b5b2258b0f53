//! Expressions of `calc`: a text becomes a small tree, which is evaluated with exact decimals.
//!
//! ```text
//! expression = sum [ ( "=" | "==" | "!=" | "<" | "<=" | ">" | ">=" ) sum ]
//! sum        = product { ( "+" | "-" ) product }
//! product    = factor { ( "*" | "/" ) factor }
//! factor     = "-" factor | number | text | name | "none" | call | "(" expression ")"
//! call       = ( "if" | "min" | "max" | "abs" | "round" ) "(" expression { "," expression } ")"
//! name       = letter { letter | digit | "_" } | "`" any characters "`"
//! text       = "'" any characters "'"
//! ```

mod parse;

use super::decimal::Decimal;
use crate::base::path::Step;
use std::cmp::Ordering;

/// Quotients and products are rounded to so many decimals, half away from zero. With two factors of twelve
/// decimals, 128 bits leave room for products up to 10^14.
pub const MOST_DECIMALS: u8 = 12;

/// The longest text of an expression, in characters.
pub const LONGEST: usize = 1000;

/// The most numbers, names and operators of an expression, and so the deepest they stand in each other.
pub const MOST_PARTS: usize = 200;

/// The most expressions that stand in each other by brackets, calls and signs.
pub const DEEPEST: usize = 32;

/// An expression over fields.
#[derive(Debug)]
pub struct Expression {
    root: Node,
    names: Vec<Mention>,
}

/// A field that an expression names, and where it does so first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    pub name: String,
    pub place: Step,
}

/// What an expression has or makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand<'a> {
    Number(Decimal),
    Text(&'a str),
    Bool(bool),
}

#[derive(Debug)]
enum Node {
    /// A number, a text or nothing, as it stands there.
    Number(Decimal),
    Text(Box<str>),
    Nothing,
    /// A field, by its place among the names.
    Field(usize),
    Minus(Box<Node>),
    Sum(Sum, Box<[Node; 2]>),
    Compare(Compare, Box<[Node; 2]>),
    If(Box<[Node; 3]>),
    /// The least or the greatest of several.
    Extreme(Ordering, Vec<Node>),
    Abs(Box<Node>),
    Round(Box<Node>, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    Plus,
    Minus,
    Times,
    Divided,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expression {
    /// The fields that it names, each once.
    pub fn names(&self) -> &[Mention] {
        &self.names
    }

    /// Its value, where `field` gives those of the [names](Expression::names). `None`: there is none, because
    /// a part that counts has none, divides by 0, takes a text for a number or needs more than 128 bits.
    pub fn value<'a>(
        &'a self,
        field: &dyn Fn(usize) -> Option<Operand<'a>>,
    ) -> Option<Operand<'a>> {
        self.root.value(field)
    }
}

impl Node {
    fn value<'a>(&'a self, field: &dyn Fn(usize) -> Option<Operand<'a>>) -> Option<Operand<'a>> {
        let number = |node: &'a Node| node.value(field)?.number();
        let number = match self {
            Node::Number(number) => *number,
            Node::Text(text) => return Some(Operand::Text(text)),
            Node::Nothing => return None,
            Node::Field(n) => match field(*n)? {
                Operand::Number(number) => bounded(number)?,
                other => return Some(other),
            },
            Node::Minus(node) => Decimal::from(0).minus(number(node)?)?,
            Node::Sum(sum, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (number(left)?, number(right)?);
                match sum {
                    Sum::Plus => left.plus(right)?,
                    Sum::Minus => left.minus(right)?,
                    Sum::Times => bounded(left.times(right)?)?,
                    Sum::Divided => left.quotient(right, MOST_DECIMALS)?.trimmed(),
                }
            }
            Node::Compare(compare, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (left.value(field)?, right.value(field)?);
                return Some(Operand::Bool(compare.holds(left, right)?));
            }
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                let holds = match condition.value(field)? {
                    Operand::Bool(holds) => holds,
                    Operand::Number(number) => !number.is_zero(),
                    Operand::Text(_) => return None,
                };
                return if holds { yes } else { no }.value(field);
            }
            Node::Extreme(wanted, nodes) => {
                let mut best = None;
                for node in nodes {
                    let number = number(node)?;
                    if best.is_none_or(|best| number.compared(best) == *wanted) {
                        best = Some(number);
                    }
                }
                best?
            }
            Node::Abs(node) => number(node)?.absolute()?,
            Node::Round(node, decimals) => number(node)?.rounded(*decimals)?,
        };
        Some(Operand::Number(number))
    }
}

impl Operand<'_> {
    fn number(self) -> Option<Decimal> {
        match self {
            Operand::Number(number) => Some(number),
            Operand::Text(_) | Operand::Bool(_) => None,
        }
    }

    /// JSON's word for it.
    fn word(self) -> Option<&'static str> {
        match self {
            Operand::Bool(true) => Some("true"),
            Operand::Bool(false) => Some("false"),
            Operand::Number(_) | Operand::Text(_) => None,
        }
    }
}

impl Compare {
    /// Texts are equal or not; nothing orders them. `None`: the two cannot be compared.
    fn holds(self, left: Operand<'_>, right: Operand<'_>) -> Option<bool> {
        let is_equal = match (left, right) {
            (Operand::Number(left), Operand::Number(right)) => {
                let order = left.compared(right);
                return Some(match self {
                    Compare::Equal => order.is_eq(),
                    Compare::NotEqual => order.is_ne(),
                    Compare::Less => order.is_lt(),
                    Compare::LessOrEqual => order.is_le(),
                    Compare::Greater => order.is_gt(),
                    Compare::GreaterOrEqual => order.is_ge(),
                });
            }
            // JSON's `true` is the text 'true', too.
            (Operand::Text(text), yes) | (yes, Operand::Text(text)) => match yes {
                Operand::Text(other) => text == other,
                _ => yes.word() == Some(text),
            },
            (left, right) => left == right,
        };
        match self {
            Compare::Equal => Some(is_equal),
            Compare::NotEqual => Some(!is_equal),
            _ => None,
        }
    }
}

fn bounded(number: Decimal) -> Option<Decimal> {
    match number.decimals() > MOST_DECIMALS {
        true => number.rounded(MOST_DECIMALS),
        false => Some(number),
    }
}

#[cfg(test)]
mod tests;
