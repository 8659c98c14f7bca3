//! One page of a list of a bucket: whose it is, and what it says, in the words of the bucket. A page that is about
//! anything else than what was asked for is an error, never an empty list.

use super::bucket::{Bucket, EXPECTED};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use proofmark_net::ClientError;
use proofmark_net::http::Answer;

/// What a page says of itself, as it travels.
pub(super) struct Head<'a> {
    /// The bucket's name.
    pub name: &'a str,
    /// The whole names in it begin with this.
    pub prefix: &'a str,
    /// `url` where names are encoded.
    pub encoding: Option<&'a str>,
}

/// A page that is about what was asked for.
#[derive(Clone, Copy)]
pub(super) struct Page<'a> {
    answer: &'a Answer,
    prefix: &'a str,
    encoded: bool,
}

impl<'a> Page<'a> {
    /// Holds what a page says of itself against the bucket and the prefix that were asked for.
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

    /// What is wrong with it.
    pub(super) fn wrong(&self, why: &str) -> ClientError {
        ClientError::of_shape(self.answer, EXPECTED, why)
    }

    /// Text as it is in the bucket; `None` where it is encoded and no UTF-8.
    pub(super) fn plain(&self, text: &str) -> Option<String> {
        if self.encoded { decoded(text) } else { Some(text.to_owned()) }
    }

    /// Where the list goes on, which is never where this page `began`; a page that is the last does not say it.
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

    /// A whole name that was asked for.
    pub(super) fn key(&self, text: &str) -> Result<String, ClientError> {
        let key = self.plain(text).filter(|key| key.starts_with(self.prefix));
        key.ok_or_else(|| self.wrong(&format!("the key `{text}` does not belong there")))
    }

    /// When something was changed.
    pub(super) fn modified(&self, text: &str) -> Result<Timestamp, ClientError> {
        text.parse().map_err(|_| self.wrong(&format!("`{text}` is no time of change")))
    }
}

/// As forms are encoded: a plus is a space.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
