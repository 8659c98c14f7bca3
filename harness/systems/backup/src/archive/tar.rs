//! Walks over a tar as it goes by and says where it is damaged or cut short. pg_restore (15 at least) does not: given a
//! tar that ends too early it runs for ever.

use super::unpack::Fault;

const BLOCK: usize = 512;

/// Follows the members of a tar.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// A header of which not all has come.
    block: Vec<u8>,
    /// Bytes of the present member that are still to come, with what fills its last block.
    left: u64,
    /// Empty blocks in a row: two end a tar.
    empty: u8,
    /// Bytes so far.
    at: u64,
    /// The member that was last begun.
    member: String,
}

impl Walk {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let used = if self.left > 0 {
                let used = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= used as u64;
                used
            } else {
                let used = (BLOCK - self.block.len()).min(bytes.len());
                self.block.extend_from_slice(&bytes[..used]);
                if self.block.len() == BLOCK {
                    self.header()?;
                    self.block.clear();
                }
                used
            };
            self.at += used as u64;
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Nothing comes any more.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.empty >= 2 && self.block.is_empty() {
            return Ok(());
        }
        let place = if self.left > 0 { "inside" } else { "behind" };
        self.fault(format!(
            "the tar is cut short: it ends {place} its member {}, and not with two empty blocks",
            self.member
        ))
    }

    fn header(&mut self) -> Result<(), Fault> {
        if self.block.iter().all(|byte| *byte == 0) {
            self.empty = self.empty.saturating_add(1);
            return Ok(());
        }
        if self.empty > 0 {
            return self.fault(format!(
                "behind the end of the tar, after its member {}, lie other bytes",
                self.member
            ));
        }
        let name = self.block[..100].split(|byte| *byte == 0).next().unwrap_or_default();
        let sum = self.block.iter().enumerate().map(|(at, byte)| {
            // The sum itself counts as spaces.
            u64::from(if (148..156).contains(&at) { b' ' } else { *byte })
        });
        if octal(&self.block[148..156]) != Some(sum.sum()) {
            return self.fault(format!(
                "the tar is damaged: what follows its member {} is no header of one",
                self.member
            ));
        }
        let Some(size) = size(&self.block[124..136]) else {
            return self.fault(format!("the tar is damaged: its member {} has no size", name.escape_ascii()));
        };
        self.member = name.escape_ascii().to_string();
        self.left = size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64);
        Ok(())
    }

    fn fault<T>(&self, why: String) -> Result<T, Fault> {
        Err(Fault { at: self.at, why })
    }
}

/// In octal digits, or from 8 GiB on in bytes behind one that is 128.
fn size(field: &[u8]) -> Option<u64> {
    match field.split_first() {
        Some((0x80, rest)) => {
            rest.iter().try_fold(0_u64, |sum, byte| Some(sum.checked_mul(256)? + u64::from(*byte)))
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).filter(|end| *end > 0);
    let digits = field[..end.unwrap_or(field.len())].trim_ascii_start();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}
