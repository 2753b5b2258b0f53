//! The text of an expression, read by descent; a mistake knows its characters.

use super::{Compare, DEEPEST, Expression, LONGEST, MOST_DECIMALS, MOST_PARTS, Mention, Node, Sum};
use crate::base::path::{BuildError, Path, Step};
use crate::codec::decimal::Decimal;
use std::cmp::Ordering;

const FUNCTIONS: &str = "there are if, min, max, abs and round";

/// A piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Number(Decimal),
    Text(&'a str),
    /// A name, and whether it stands in backticks.
    Name(&'a str, bool),
    Sum(Sum),
    Compare(Compare),
    Open,
    Close,
    Comma,
    End,
}

struct Parser<'a> {
    text: &'a str,
    /// The next byte and the next character.
    byte: usize,
    at: usize,
    token: Token<'a>,
    /// The characters of the token.
    place: Step,
    names: Vec<Mention>,
    parts: usize,
    depth: usize,
}

type Parsed<T> = Result<T, BuildError>;

impl Expression {
    /// Reads a text. A mistake's path ends in the characters that are wrong.
    pub fn parse(text: &str) -> Parsed<Expression> {
        if text.chars().count() > LONGEST {
            let error = BuildError::new(format!("longer than {LONGEST} characters"));
            return Err(error.remedy("put parts of it into fields of their own"));
        }
        let mut parser = Parser {
            text,
            byte: 0,
            at: 0,
            token: Token::End,
            place: Step::Characters { at: 0, count: 0 },
            names: Vec::new(),
            parts: 0,
            depth: 0,
        };
        parser.advance()?;
        let root = parser.expression()?;
        match parser.token {
            Token::End => Ok(Expression { root, names: parser.names }),
            Token::Close => Err(parser.wrong("this bracket closes nothing", "leave it out")),
            Token::Comma => Err(parser.wrong(
                "a comma stands between the values of a function only",
                "write a number with a point: 0.5",
            )),
            _ => Err(parser.wrong("an operator is missing before this", "write + - * or /")),
        }
    }
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: impl Into<String>, remedy: impl Into<String>) -> BuildError {
        wrong_at(&self.place, what, remedy)
    }

    /// Reads the next token.
    fn advance(&mut self) -> Parsed<()> {
        let rest = &self.text[self.byte..];
        let blank = rest.len() - rest.trim_start().len();
        self.skip(blank);
        let rest = &self.text[self.byte..];
        let Some(first) = rest.chars().next() else {
            (self.token, self.place) = (Token::End, Step::Characters { at: self.at, count: 0 });
            return Ok(());
        };
        let two = rest.get(..2).unwrap_or_default();
        let (token, length) = match (first, two) {
            (_, "==") => (Token::Compare(Compare::Equal), 2),
            (_, "!=") => (Token::Compare(Compare::NotEqual), 2),
            (_, "<=") => (Token::Compare(Compare::LessOrEqual), 2),
            (_, ">=") => (Token::Compare(Compare::GreaterOrEqual), 2),
            ('=', _) => (Token::Compare(Compare::Equal), 1),
            ('<', _) => (Token::Compare(Compare::Less), 1),
            ('>', _) => (Token::Compare(Compare::Greater), 1),
            ('+', _) => (Token::Sum(Sum::Plus), 1),
            ('-', _) => (Token::Sum(Sum::Minus), 1),
            ('*', _) => (Token::Sum(Sum::Times), 1),
            ('/', _) => (Token::Sum(Sum::Divided), 1),
            ('(', _) => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            (',', _) => (Token::Comma, 1),
            ('\'' | '`', _) => self.quoted(rest, first)?,
            ('0'..='9' | '.', _) => self.number(rest)?,
            _ if first.is_alphabetic() || first == '_' => {
                let ends = |c: char| !c.is_alphanumeric() && c != '_';
                let length = rest.find(ends).unwrap_or(rest.len());
                (Token::Name(&rest[..length], false), length)
            }
            _ => {
                let place = self.next(first.len_utf8());
                let what = format!("{first:?} means nothing here");
                let remedy = match first {
                    '"' => "write a text in single quotes, 'on'",
                    '%' | '^' | '&' | '|' | '!' => "there are + - * / = != < <= > >=",
                    '{' | '}' => "a field is named without braces",
                    _ => {
                        "a name with other characters than letters, digits and _ stands in backticks"
                    }
                };
                return Err(wrong_at(&place, what, remedy));
            }
        };
        self.token = token;
        self.place = self.next(length);
        self.skip(length);
        Ok(())
    }

    /// The next bytes as characters.
    fn next(&self, bytes: usize) -> Step {
        let text = self.text.get(self.byte..self.byte + bytes).unwrap_or_default();
        Step::Characters { at: self.at, count: text.chars().count() }
    }

    fn skip(&mut self, bytes: usize) {
        if let Step::Characters { count, .. } = self.next(bytes) {
            self.at += count;
        }
        self.byte += bytes;
    }

    fn quoted(&self, rest: &'a str, quote: char) -> Parsed<(Token<'a>, usize)> {
        let inside = rest.get(1..).and_then(|rest| rest.split(quote).next()).unwrap_or_default();
        let length = inside.len() + 2;
        if length > rest.len() {
            let remedy = format!("write {quote} at its end, too");
            return Err(wrong_at(&self.next(1), "this quote does not end", remedy));
        }
        if quote == '\'' {
            return Ok((Token::Text(inside), length));
        }
        if inside.is_empty() {
            return Err(wrong_at(&self.next(2), "a field has a name", "write it in here"));
        }
        Ok((Token::Name(inside, true), length))
    }

    fn number(&self, rest: &'a str) -> Parsed<(Token<'a>, usize)> {
        // What is glued to a number belongs to the mistake.
        let mut before = ' ';
        let ends = |c: char| {
            let is_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            before = c;
            !(c.is_alphanumeric() || matches!(c, '.' | '_') || is_sign)
        };
        let length = rest.find(ends).unwrap_or(rest.len());
        let digits = &rest[..length];
        match Decimal::read(digits) {
            Some(number) => Ok((Token::Number(number), length)),
            None => {
                let what = format!("{digits:?} is not a decimal number");
                let is_hex = digits.strip_prefix("0x");
                let hex = is_hex.and_then(|digits| i128::from_str_radix(digits, 16).ok());
                let remedy = match hex {
                    Some(number) => format!("write {number}"),
                    None => {
                        "write 0.5 or 1000; a name that begins with a digit stands in backticks"
                            .to_owned()
                    }
                };
                Err(wrong_at(&self.next(length), what, remedy))
            }
        }
    }

    /// One more part; and one more level, until [`Parser::up`].
    fn down(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            let what = format!("more than {DEEPEST} brackets, calls and signs in each other");
            return Err(self.wrong(what, "put parts of it into fields of their own"));
        }
        Ok(())
    }

    fn up<T>(&mut self, of: T) -> T {
        self.depth -= 1;
        of
    }

    fn part(&mut self) -> Parsed<()> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let what = format!("more than {MOST_PARTS} numbers, names and operators");
            return Err(self.wrong(what, "put parts of it into fields of their own"));
        }
        Ok(())
    }

    fn expression(&mut self) -> Parsed<Node> {
        self.down()?;
        let left = self.sum()?;
        let Token::Compare(compare) = self.token else { return Ok(self.up(left)) };
        self.part()?;
        self.advance()?;
        let right = self.sum()?;
        if let Token::Compare(_) = self.token {
            let remedy = "compare the two one by one: if(a < b, b < c, 0)";
            return Err(self.wrong("a comparison has two sides", remedy));
        }
        Ok(self.up(Node::Compare(compare, Box::new([left, right]))))
    }

    fn sum(&mut self) -> Parsed<Node> {
        let mut left = self.product()?;
        while let Token::Sum(sum @ (Sum::Plus | Sum::Minus)) = self.token {
            self.part()?;
            self.advance()?;
            left = Node::Sum(sum, Box::new([left, self.product()?]));
        }
        Ok(left)
    }

    fn product(&mut self) -> Parsed<Node> {
        let mut left = self.factor()?;
        while let Token::Sum(sum @ (Sum::Times | Sum::Divided)) = self.token {
            self.part()?;
            self.advance()?;
            left = Node::Sum(sum, Box::new([left, self.factor()?]));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed<Node> {
        self.part()?;
        match self.token {
            Token::Number(number) => {
                self.advance()?;
                Ok(Node::Number(number))
            }
            Token::Text(text) => {
                self.advance()?;
                Ok(Node::Text(text.into()))
            }
            Token::Sum(Sum::Minus) => {
                self.down()?;
                self.advance()?;
                let node = self.factor()?;
                Ok(self.up(Node::Minus(Box::new(node))))
            }
            Token::Open => {
                self.advance()?;
                let node = self.expression()?;
                self.close("(")?;
                Ok(node)
            }
            Token::Name(name, is_quoted) => self.named(name, is_quoted),
            Token::End => Err(self.wrong("a value is missing here", "write a number or a field")),
            _ => Err(self.wrong("a value is missing before this", "write a number or a field")),
        }
    }

    /// A field, a function or nothing.
    fn named(&mut self, name: &'a str, is_quoted: bool) -> Parsed<Node> {
        let place = self.place.clone();
        self.advance()?;
        if self.token == Token::Open && !is_quoted {
            self.advance()?;
            return self.call(name, &place);
        }
        if name == "none" && !is_quoted {
            return Ok(Node::Nothing);
        }
        let known = self.names.iter().position(|mention| mention.name == name);
        Ok(Node::Field(known.unwrap_or_else(|| {
            self.names.push(Mention { name: name.to_owned(), place });
            self.names.len() - 1
        })))
    }

    /// A function, whose bracket is open.
    fn call(&mut self, name: &str, place: &Step) -> Parsed<Node> {
        if !matches!(name, "if" | "min" | "max" | "abs" | "round") {
            return Err(wrong_at(place, format!("there is no function {name:?}"), FUNCTIONS));
        }
        let mut values = vec![self.expression()?];
        let mut decimals = 0;
        while self.token == Token::Comma {
            self.advance()?;
            if name == "round" && values.len() == 1 {
                decimals = self.decimals()?;
                break;
            }
            values.push(self.expression()?);
        }
        self.close(name)?;
        let count = values.len();
        let not_so_many = |usage: &str| {
            let what = format!("{name} has {count} value{}", if count == 1 { "" } else { "s" });
            wrong_at(place, what, format!("write {usage}"))
        };
        match (name, <[Node; 3]>::try_from(values)) {
            ("if", Ok(parts)) => Ok(Node::If(Box::new(parts))),
            ("min", Ok(parts)) => Ok(Node::Extreme(Ordering::Less, parts.into())),
            ("max", Ok(parts)) => Ok(Node::Extreme(Ordering::Greater, parts.into())),
            ("min", Err(parts)) if count > 1 => Ok(Node::Extreme(Ordering::Less, parts)),
            ("max", Err(parts)) if count > 1 => Ok(Node::Extreme(Ordering::Greater, parts)),
            ("abs" | "round", Err(mut parts)) if count == 1 => match (name, parts.pop()) {
                ("abs", Some(node)) => Ok(Node::Abs(Box::new(node))),
                (_, Some(node)) => Ok(Node::Round(Box::new(node), decimals)),
                (_, None) => Err(not_so_many("one")),
            },
            ("if", _) => Err(not_so_many("if(condition, then, else)")),
            ("min" | "max", _) => Err(not_so_many("two or more")),
            ("abs", _) => Err(not_so_many("abs(value)")),
            (_, _) => Err(not_so_many("round(value) or round(value, decimals)")),
        }
    }

    /// The second value of `round`.
    fn decimals(&mut self) -> Parsed<u8> {
        let wrong = self.wrong(
            "the number of decimals is written in digits",
            format!("write 0 to {MOST_DECIMALS}"),
        );
        let Token::Number(number) = self.token else { return Err(wrong) };
        let decimals = number.whole().and_then(|n| u8::try_from(n).ok());
        let Some(decimals) = decimals.filter(|n| *n <= MOST_DECIMALS) else { return Err(wrong) };
        self.part()?;
        self.advance()?;
        Ok(decimals)
    }

    fn close(&mut self, of: &str) -> Parsed<()> {
        match self.token {
            Token::Close => self.advance(),
            Token::Comma if of == "(" => Err(self.wrong(
                "a comma stands between the values of a function only",
                "write a number with a point: 0.5",
            )),
            Token::Comma => Err(self.wrong("round has two values at most", "leave this out")),
            Token::End => Err(self.wrong("a bracket is not closed", "write `)` where it belongs")),
            _ => Err(self.wrong("an operator is missing before this", "write + - * or /")),
        }
    }
}

fn wrong_at(place: &Step, what: impl Into<String>, remedy: impl Into<String>) -> BuildError {
    BuildError::new(what).remedy(remedy).below(&Path(vec![place.clone()]))
}
