//! As much of JSON as a client needs. Take serde_json where you have it.

use std::collections::BTreeMap;
use std::ops::Index;

#[derive(Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// The text that it is; an empty one else.
    pub fn text(&self) -> &str {
        if let Value::Text(text) = self {
            text
        } else {
            ""
        }
    }

    /// The number that it is; NaN else.
    pub fn number(&self) -> f64 {
        if let Value::Number(number) = self {
            *number
        } else {
            f64::NAN
        }
    }
}

/// A key of an object; null where it has none.
impl Index<&str> for Value {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        match self {
            Value::Object(map) => map.get(key).unwrap_or(&Value::Null),
            _ => &Value::Null,
        }
    }
}

/// Write a text as JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for sign in text.chars() {
        match sign {
            '"' | '\\' => out.extend(['\\', sign]),
            _ if (sign as u32) < 32 => out += &format!("\\u{:04x}", sign as u32),
            _ => out.push(sign),
        }
    }
    out + "\""
}

/// Read a value; None for what is no JSON.
pub fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value()?;
    reader.skip();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Go over a word, after spaces; whether it stands there.
    fn over(&mut self, word: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Value> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            if self.over(word) {
                return Some(value);
            }
        }
        if self.over("[") {
            let mut list = Vec::new();
            while !self.over("]") {
                if !list.is_empty() && !self.over(",") {
                    return None;
                }
                list.push(self.value()?);
            }
            return Some(Value::List(list));
        }
        if self.over("{") {
            let mut map = BTreeMap::new();
            while !self.over("}") {
                if !map.is_empty() && !self.over(",") || !self.over("\"") {
                    return None;
                }
                let key = self.string()?;
                if !self.over(":") {
                    return None;
                }
                map.insert(key, self.value()?);
            }
            return Some(Value::Object(map));
        }
        if self.over("\"") {
            return self.string().map(Value::Text);
        }
        let end = self
            .rest
            .find(|sign: char| !"+-.eE0123456789".contains(sign))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        number.parse().ok().map(Value::Number)
    }

    /// Read a string, whose opening quote is read.
    fn string(&mut self) -> Option<String> {
        let mut units: Vec<u16> = Vec::new(); // as \u has them: two for what lies beyond 16 bits
        let mut signs = self.rest.chars();
        loop {
            let sign = match signs.next()? {
                '"' => break,
                '\\' => match signs.next()? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let code: String = signs.by_ref().take(4).collect();
                        units.push(u16::from_str_radix(&code, 16).ok()?);
                        continue;
                    }
                    other => other,
                },
                sign => sign,
            };
            units.extend(sign.encode_utf16(&mut [0; 2]).iter());
        }
        self.rest = signs.as_str();
        String::from_utf16(&units).ok()
    }
}
