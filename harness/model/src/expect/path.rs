//! A valid JSONPath (RFC 9535).

use crate::SettingMistake;
use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A valid JSONPath with its source text.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    text: String,
    query: Arc<JpQuery>,
}

/// Caches parsed paths. A path is read when its file is checked, when its step runs and when the step is judged, and
/// parsing costs more than the rest of a judgement.
static READ: Mutex<BTreeMap<String, Arc<JpQuery>>> = Mutex::new(BTreeMap::new());

impl JsonPath {
    /// Reads a path.
    ///
    /// # Errors
    /// Text that is not a JSONPath.
    pub fn parse(text: &str) -> Result<Self, SettingMistake> {
        let wrong = |why: String| {
            SettingMistake::new(format!("`{text}` is no JSONPath: {why}")).help("write `$.samples[0].value`")
        };
        if !text.starts_with('$') {
            return Err(wrong("it does not start with `$`".into()));
        }
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(query) = read.get(text) {
            return Ok(Self { text: text.to_owned(), query: query.clone() });
        }
        let query = parse_json_path(text).map(Arc::new).map_err(|error| {
            let error = error.to_string();
            let place =
                error.lines().find_map(|line| line.trim().strip_prefix("= ")).unwrap_or("it cannot be read");
            wrong(place.to_owned())
        })?;
        read.insert(text.to_owned(), query.clone());
        Ok(Self { text: text.to_owned(), query })
    }

    /// The nodes that it selects, in document order.
    pub fn select<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let found = js_path_process(&self.query, value);
        found
            .map(|nodes| nodes.into_iter().map(jsonpath_rust::query::QueryRef::val).collect())
            .unwrap_or_default()
    }

    /// Returns whether the path can select only one node: it consists of names and indices.
    pub fn is_singular(&self) -> bool {
        let single =
            |segment: &Segment| matches!(segment, Segment::Selector(Selector::Name(_) | Selector::Index(_)));
        self.query.segments.iter().all(single)
    }

    /// The last name in the path.
    pub fn last_name(&self) -> Option<&str> {
        self.query.segments.iter().rev().find_map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(name.trim_matches(['\'', '"'])),
            _ => None,
        })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for JsonPath {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        JsonPath::parse(&crate::sampled(d, "$jsonpath")?).map_err(serde::de::Error::custom)
    }
}
