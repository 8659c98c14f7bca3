//! The report as data: a [`Report`] in indented JSON.

use super::{RenderError, Report, words};

/// An escaped `[` in JSON text.
const BRACKET: &str = "\\u005b";

/// Renders the whole report, with a newline at its end.
///
/// # Errors
/// When the JSON writer fails.
pub fn render(report: &Report) -> Result<String, RenderError> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(words::inert(&text, ":", BRACKET))
}

/// Formats a value as one line of JSON with a newline at its end, in which no CI runner finds a command.
pub fn line(value: &serde_json::Value) -> String {
    words::inert(&format!("{value}\n"), ":", BRACKET)
}

/// The JSON Schema of the report, for programs that read it.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        for report in [sample::failed(), sample::incomplete()] {
            assert_eq!(serde_json::from_str::<Report>(&render(&report).unwrap()).unwrap(), report);
        }
    }

    #[test]
    fn keys_are_kebab_case_and_the_exit_is_its_number() {
        let json: serde_json::Value = serde_json::from_str(&render(&sample::failed()).unwrap()).unwrap();
        assert_eq!(json["exit"], 1);
        assert_eq!(json["verdict"], "failed");
        assert!(json["scenarios"][0]["does-not-prove"].is_string());
        assert!(json["counts"]["steps"]["failed"].is_number());
        let schema = schema();
        let properties = schema.get("properties").unwrap().as_object().unwrap();
        for key in json.as_object().unwrap().keys() {
            assert!(properties.contains_key(key), "{key}");
        }
    }
}
