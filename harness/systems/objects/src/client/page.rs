//! Checks one page of a list of a bucket and decodes it. A page about anything other than the query is an error, never
//! an empty list.

use super::bucket::{Bucket, EXPECTED};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use proofmark_net::ClientError;
use proofmark_net::http::Answer;

/// What a page says about itself, as it was received.
pub(super) struct Head<'a> {
    /// The name of the bucket.
    pub name: &'a str,
    /// The prefix of the whole names in the page.
    pub prefix: &'a str,
    /// `url` if names are encoded.
    pub encoding: Option<&'a str>,
}

/// A page that answers the query.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    answer: &'a Answer,
    prefix: &'a str,
    encoded: bool,
}

impl<'a> Page<'a> {
    /// Compares what a page says about itself with the bucket and the prefix of the query.
    pub(super) fn of(
        answer: &'a Answer,
        (bucket, prefix): (&Bucket, &'a str),
        head: &Head<'_>,
    ) -> Result<Self, ClientError> {
        let page = Self { answer, prefix, encoded: head.encoding == Some("url") };
        if head.name != bucket.name {
            return Err(page.wrong(&format!("it is the list of another bucket, `{}`", head.name)));
        }
        if page.plain(head.prefix).as_deref() != Some(prefix) {
            return Err(page.wrong(&format!("it is the list of another prefix, `{}`", head.prefix)));
        }
        Ok(page)
    }

    /// Returns the error for a page that is wrong.
    pub(super) fn wrong(&self, why: &str) -> ClientError {
        ClientError::of_shape(self.answer, EXPECTED, why)
    }

    /// Decodes text as it is in the bucket; `None` if it is encoded and not UTF-8.
    pub(super) fn plain(&self, text: &str) -> Option<String> {
        if self.encoded { decoded(text) } else { Some(text.to_owned()) }
    }

    /// Returns where the list continues, which must differ from where this page `began`; `None` for the last page.
    pub(super) fn next<T: PartialEq>(
        &self,
        is_truncated: bool,
        marker: Option<T>,
        began: Option<&T>,
    ) -> Result<Option<T>, ClientError> {
        match marker {
            _ if !is_truncated => Ok(None),
            None => Err(self.wrong("it says that there is more and not how to go on")),
            marker if marker.as_ref() == began => {
                Err(self.wrong("it says to go on where it stands already: the list has no end"))
            }
            marker => Ok(marker),
        }
    }

    /// Returns a whole name, which must belong to the query.
    pub(super) fn key(&self, text: &str) -> Result<String, ClientError> {
        let key = self.plain(text).filter(|key| key.starts_with(self.prefix));
        key.ok_or_else(|| self.wrong(&format!("the key `{text}` does not belong there")))
    }

    /// Parses when something was changed.
    pub(super) fn modified(&self, text: &str) -> Result<Timestamp, ClientError> {
        text.parse().map_err(|_| self.wrong(&format!("`{text}` is no time of change")))
    }
}

/// Decodes form encoding, in which a plus is a space.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
