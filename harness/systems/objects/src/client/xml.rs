//! Parses XML whose root element is the expected one: any other document with status 200 would read as an empty list.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

/// Parses a document with this root element.
///
/// # Errors
/// What is wrong with the document.
pub(super) fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8], root: &str) -> Result<T, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) | Event::Empty(start) => {
                let name = start.local_name();
                if name.as_ref() != root.as_bytes() {
                    let name = String::from_utf8_lossy(name.as_ref()).into_owned();
                    return Err(format!("it is a `{name}`, not a `{root}`"));
                }
                break;
            }
            Event::Eof => return Err("it holds no XML".into()),
            _ => {}
        }
    }
    quick_xml::de::from_str(text).map_err(|error| error.to_string())
}
