//! Unpacks gzip and zstd to their end, in a thread of its own, and says where and why it cannot.

use super::pieces::Pieces;
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::io::{self, BufRead, ErrorKind, Read};
use tokio::sync::mpsc::Sender;

/// So much is unpacked at once.
const CHUNK: usize = 128 << 10;

/// Where packed bytes cannot be read on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte of what is packed up to which it was read.
    pub(super) at: u64,
    pub(super) why: String,
}

/// What was noticed of packed bytes that are sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Noticed {
    /// Is a part without a checksum?
    pub(super) unchecked: bool,
}

/// The two that are unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

/// Why it stopped.
enum Stop {
    /// Nobody wants more: what comes next has given up, and says why.
    Unwanted,
    Broken(String),
}

impl Packing {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Unpacks all members or frames, one behind the other.
    pub(super) fn unpack(self, mut from: Pieces, to: &Sender<Bytes>) -> Result<Noticed, Fault> {
        let mut noticed = Noticed::default();
        let mut first = true;
        let name = self.name();
        loop {
            let stopped = match self {
                Self::Gzip if first || starts(&mut from, 0x1f) => member(&mut from, to),
                Self::Zstd if first || !ended(&mut from) => frame(&mut from, to, &mut noticed),
                _ if padded(&mut from) => return Ok(noticed),
                _ => Err(Stop::Broken(format!("behind the end of the {name} data lie bytes that are none"))),
            };
            first = false;
            match stopped {
                Ok(()) => {}
                Err(Stop::Unwanted) => return Ok(noticed),
                Err(Stop::Broken(_)) if from.ended => {
                    let why = format!("the {name} data are cut short: they end where more should come");
                    return Err(Fault { at: from.used, why });
                }
                Err(Stop::Broken(why)) => return Err(Fault { at: from.used, why }),
            }
        }
    }
}

/// One member of gzip.
fn member(from: &mut Pieces, to: &Sender<Bytes>) -> Result<(), Stop> {
    let mut decoder = GzDecoder::new(from);
    pass(&mut decoder, to, |error| match error.kind() {
        ErrorKind::UnexpectedEof => "the gzip data are cut short: they end where more should come".to_owned(),
        _ => format!("the gzip data are damaged: {error}"),
    })
}

/// One frame of zstd.
fn frame(from: &mut Pieces, to: &Sender<Bytes>, noticed: &mut Noticed) -> Result<(), Stop> {
    let damaged = |why: &dyn std::fmt::Display| format!("the zstd data are damaged: {why}");
    let mut decoder = match StreamingDecoder::new(&mut *from) {
        Ok(decoder) => decoder,
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
            let skipped = io::copy(&mut from.by_ref().take(length.into()), &mut io::sink());
            let whole = skipped.is_ok_and(|skipped| skipped == u64::from(length));
            return if whole {
                Ok(())
            } else {
                Err(Stop::Broken(damaged(&"a frame to be skipped is too short")))
            };
        }
        Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
            let mib = requested >> 20;
            return Err(Stop::Broken(format!(
                "the zstd data want {mib} MiB of memory to be unpacked: pack them without `--long`"
            )));
        }
        Err(error) => return Err(Stop::Broken(damaged(&error))),
    };
    pass(&mut decoder, to, |error| damaged(error))?;
    let decoder = decoder.into_frame_decoder();
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (None, _) => noticed.unchecked = true,
        (Some(wanted), found) if Some(wanted) == found => {}
        _ => return Err(Stop::Broken(damaged(&"the checksum is another"))),
    }
    Ok(())
}

fn pass(
    decoder: &mut impl Read,
    to: &Sender<Bytes>,
    broken: impl Fn(&io::Error) -> String,
) -> Result<(), Stop> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let mut filled = 0;
        // What was unpacked before an error counts.
        let read = loop {
            match decoder.read(&mut chunk[filled..]) {
                Ok(0) => break Ok(()),
                Ok(read) => filled += read,
                Err(error) => break Err(error),
            }
            if filled == chunk.len() {
                break Ok(());
            }
        };
        let full = filled == chunk.len();
        chunk.truncate(filled);
        if filled > 0 && to.blocking_send(chunk.into()).is_err() {
            return Err(Stop::Unwanted);
        }
        read.map_err(|error| Stop::Broken(broken(&error)))?;
        if !full {
            return Ok(());
        }
    }
}

fn starts(from: &mut Pieces, byte: u8) -> bool {
    from.fill_buf().is_ok_and(|rest| rest.first() == Some(&byte))
}

fn ended(from: &mut Pieces) -> bool {
    from.fill_buf().is_ok_and(<[u8]>::is_empty)
}

/// Is the rest nothing but zero bytes, with which tapes and block devices fill up?
fn padded(from: &mut Pieces) -> bool {
    while let Ok(rest) = from.fill_buf() {
        if rest.is_empty() {
            return true;
        }
        let length = rest.len();
        if rest.iter().any(|byte| *byte != 0) {
            return false;
        }
        from.consume(length);
    }
    false
}
