//! How MinIO wants a new login's secret to be sent: sealed with its owner's, in the format of its own client (madmin): salt,
//! algorithm, nonce, then what `sio-go` makes of it (AES-256-GCM, here one piece, which is the last).

use super::LabError;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use std::num::NonZeroU32;

/// PBKDF2 with AES-256-GCM.
const ALGORITHM: u8 = 2;

const ROUNDS: NonZeroU32 = NonZeroU32::new(8192).expect("it is not 0");

/// The largest piece, in bytes.
const PIECE: usize = 16 << 10;

/// Seals at most 16 KiB with this secret.
///
/// # Errors
/// Where it is more.
pub(super) fn sealed(secret: &str, text: &[u8]) -> Result<Vec<u8>, LabError> {
    let wrong = || LabError::Wrong("a login cannot be sealed for MinIO".into());
    if text.len() > PIECE {
        return Err(wrong());
    }
    let (salt, nonce) = (rand::random::<[u8; 32]>(), rand::random::<[u8; 8]>());
    let mut key = [0; 32];
    derive(PBKDF2_HMAC_SHA256, ROUNDS, &salt, secret.as_bytes(), &mut key);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(|_| wrong())?);
    let numbered = |number: u8| {
        let mut all = [0; 12];
        all[..8].copy_from_slice(&nonce);
        all[8] = number;
        Nonce::assume_unique_for_key(all)
    };
    // The tag of nothing stands for what goes with every piece; its first byte says whether it is the last.
    let mut beside = vec![0];
    let tag = key.seal_in_place_separate_tag(numbered(0), Aad::empty(), &mut []).map_err(|_| wrong())?;
    beside.extend_from_slice(tag.as_ref());
    beside[0] = 0x80;
    let mut piece = text.to_vec();
    key.seal_in_place_append_tag(numbered(1), Aad::from(&beside), &mut piece).map_err(|_| wrong())?;
    Ok([&salt[..], &[ALGORITHM], &nonce, &piece].concat())
}
