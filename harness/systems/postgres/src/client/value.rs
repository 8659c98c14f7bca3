//! A value of PostgreSQL, from its text to JSON: numbers where nothing is lost, times as RFC 3339, everything that is not
//! known as the text that the server gives.

use jiff::Timestamp;
use serde_json::{Number, Value};
use tokio_postgres::types::{Kind, Type};

/// Reads the text of a value of this type; no text is NULL.
pub(super) fn read(kind: &Type, text: Option<&str>) -> Value {
    let Some(text) = text else { return Value::Null };
    let read = match kind.kind() {
        Kind::Domain(base) => Some(read(base, Some(text))),
        Kind::Array(element) => array(element, text),
        _ => scalar(kind, text),
    };
    read.unwrap_or_else(|| text.into())
}

fn scalar(kind: &Type, text: &str) -> Option<Value> {
    match *kind {
        Type::BOOL => Some((text == "t").into()),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID | Type::NUMERIC => exact(text),
        Type::FLOAT4 | Type::FLOAT8 => special(text).or_else(|| number(text.parse().ok()?)),
        Type::TIMESTAMPTZ => time(text),
        Type::JSON | Type::JSONB => json(text),
        _ => None,
    }
}

/// The three that JSON has no numbers for, as Prometheus writes them.
fn special(text: &str) -> Option<Value> {
    Some(match text {
        "NaN" => "NaN".into(),
        "Infinity" => "+Inf".into(),
        "-Infinity" => "-Inf".into(),
        _ => return None,
    })
}

fn number(value: f64) -> Option<Value> {
    Number::from_f64(value).map(Value::Number)
}

/// A decimal number, if a JSON number can hold all of it.
fn exact(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    if let Some(special) = special(text) {
        return Some(special);
    }
    let value: f64 = text.parse().ok()?;
    (digits(text)? == digits(&format!("{value:e}"))?).then(|| number(value)).flatten()
}

/// What a decimal text is worth: its sign, its digits without zeros at either end, and the power of ten of the last.
fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let last = power.parse::<i64>().ok()? - i64::try_from(fraction.len()).ok()?;
    let kept = all.trim_end_matches('0');
    let dropped = i64::try_from(all.len() - kept.len()).ok()?;
    let digits = kept.trim_start_matches('0').to_owned();
    Some(if digits.is_empty() { (false, digits, 0) } else { (negative, digits, last + dropped) })
}

/// With a zone that is pinned to UTC. `infinity` and years before Christ have no RFC 3339.
fn time(text: &str) -> Option<Value> {
    let plain = text.strip_suffix("+00")?;
    let stamp: Timestamp = format!("{}Z", plain.replacen(' ', "T", 1)).parse().ok()?;
    Some(stamp.to_string().into())
}

/// JSON as JSON, unless it holds a number that would be rounded.
fn json(text: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(text).ok()?;
    numbers(text).all(|number| exact(number).is_some()).then_some(value)
}

/// The numbers of a JSON text, outside of its strings.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])?;
            rest = &rest[start..];
            if let Some(inside) = rest.strip_prefix('"') {
                let mut escaped = false;
                let end = inside.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                })?;
                rest = &inside[end + 1..];
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            rest = after;
            return Some(number);
        }
    })
}

/// `{1,NULL,"a \"b\""}`, also nested and with bounds (`[0:1]={1,2}`, which JSON cannot say and so stays text).
fn array(element: &Type, text: &str) -> Option<Value> {
    let mut rest = text;
    let value = list(element, &mut rest, 0)?;
    rest.is_empty().then_some(value)
}

/// The server's own bound on dimensions.
const DIMENSIONS: usize = 6;

fn list(element: &Type, rest: &mut &str, depth: usize) -> Option<Value> {
    *rest = rest.strip_prefix('{')?;
    let mut out = vec![];
    if let Some(after) = rest.strip_prefix('}') {
        *rest = after;
        return Some(out.into());
    }
    // Boxes hold commas themselves.
    let comma = if *element == Type::BOX { ';' } else { ',' };
    loop {
        out.push(match rest.chars().next()? {
            '{' if depth < DIMENSIONS => list(element, rest, depth + 1)?,
            '"' => read(element, Some(&quoted(rest)?)),
            _ => {
                let (word, after) = rest.split_at(rest.find([comma, '}'])?);
                *rest = after;
                read(element, (word != "NULL").then_some(word))
            }
        });
        let next = rest.chars().next()?;
        *rest = &rest[next.len_utf8()..];
        match next {
            '}' => return Some(out.into()),
            c if c == comma => {}
            _ => return None,
        }
    }
}

fn quoted(rest: &mut &str) -> Option<String> {
    let (mut out, mut chars) = (String::new(), rest.char_indices().skip(1));
    loop {
        match chars.next()? {
            (_, '\\') => out.push(chars.next()?.1),
            (at, '"') => {
                *rest = &rest[at + 1..];
                return Some(out);
            }
            (_, c) => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn seen(kind: &Type, text: &str) -> Value {
        read(kind, Some(text))
    }

    #[test]
    fn numbers_are_numbers_where_nothing_is_lost() {
        for (text, value) in [
            ("0", json!(0)),
            ("0.00", json!(0.0)),
            ("-7", json!(-7)),
            ("1.10", json!(1.1)),
            ("0.1", json!(0.1)),
            ("9223372036854775807", json!(9_223_372_036_854_775_807_i64)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("1000000000000000000000000000000", json!(1e30)),
            ("12345678901234567890.123", json!("12345678901234567890.123")),
            ("0.12345678901234567890", json!("0.12345678901234567890")),
            ("NaN", json!("NaN")),
            ("-Infinity", json!("-Inf")),
        ] {
            assert_eq!(seen(&Type::NUMERIC, text), value, "{text}");
        }
        assert_eq!(seen(&Type::FLOAT8, "Infinity"), json!("+Inf"));
        assert_eq!(seen(&Type::FLOAT4, "3.4028235e+38"), json!(3.402_823_5e38));
        assert_eq!(seen(&Type::FLOAT8, "5e-324"), json!(5e-324));
    }

    #[test]
    fn times_are_rfc_3339_where_they_have_a_zone() {
        assert_eq!(seen(&Type::TIMESTAMPTZ, "2024-03-31 02:30:00.25+00"), json!("2024-03-31T02:30:00.25Z"));
        for text in ["infinity", "0001-01-01 00:00:00+00 BC", "294276-12-31 23:59:59+00"] {
            assert_eq!(seen(&Type::TIMESTAMPTZ, text), json!(text));
        }
        // Nobody knows which zone this was meant in.
        assert_eq!(seen(&Type::TIMESTAMP, "2024-03-31 02:30:00"), json!("2024-03-31 02:30:00"));
    }

    #[test]
    fn json_is_json_unless_a_number_in_it_would_be_rounded() {
        assert_eq!(
            seen(&Type::JSONB, r#"{"a": [1, 2.50, "1e999 \" 3", null]}"#),
            json!({"a": [1, 2.5, "1e999 \" 3", null]})
        );
        assert_eq!(seen(&Type::JSON, "null"), Value::Null);
        for text in [r#"{"n": 12345678901234567890.123}"#, "[1e400]", "{\"a\":0.12345678901234567890}"] {
            assert_eq!(seen(&Type::JSONB, text), json!(text));
        }
    }

    #[test]
    fn arrays_are_lists() {
        assert_eq!(
            seen(&Type::TEXT_ARRAY, r#"{a,NULL,"NULL","q,\"x\\","",é}"#),
            json!(["a", null, "NULL", "q,\"x\\", "", "é"])
        );
        assert_eq!(seen(&Type::INT4_ARRAY, "{{1,2},{3,NULL}}"), json!([[1, 2], [3, null]]));
        assert_eq!(seen(&Type::INT4_ARRAY, "{}"), json!([]));
        assert_eq!(
            seen(&Type::BOX_ARRAY, "{(1,1),(0,0);(2,2),(1,1)}"),
            json!(["(1,1),(0,0)", "(2,2),(1,1)"])
        );
        for text in ["[0:1]={1,2}", "{1,2", "{1}}", "", "{{{{{{{{{1}}}}}}}}}"] {
            assert_eq!(seen(&Type::INT4_ARRAY, text), json!(text));
        }
    }

    proptest! {
        #[test]
        fn a_decimal_is_kept_whole(text in "-?[0-9]{1,25}(\\.[0-9]{1,25})?") {
            match seen(&Type::NUMERIC, &text) {
                Value::String(kept) => prop_assert_eq!(kept, text),
                Value::Number(number) => prop_assert_eq!(digits(&number.to_string()), digits(&text)),
                other => prop_assert!(false, "{other}"),
            }
        }

        #[test]
        fn no_text_breaks_an_array_or_json(text in "[{}\\[\\],:\"\\\\ 0-9a-zé.eE+-]{0,40}") {
            seen(&Type::INT8_ARRAY, &text);
            seen(&Type::JSONB, &text);
        }
    }
}
