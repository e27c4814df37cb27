//! Sealed records: what a session's messages travel in once the handshake is over.
//!
//! `docs/protocol.md`, "Records". One [`Sealer`] and one [`Opener`] make a direction; a session has two.
//!
//! # Requires
//!
//! - Traffic keys that only the two ends of this session know, one for each direction, and never a second
//!   [`Sealer`] for a key.
//! - A transport that keeps records whole and in order: a WebSocket.
//!
//! # Provides
//!
//! - What [`Opener::open`] returns is exactly what the other end sealed, each message once, in order, with
//!   none missing before it.
//! - The length of a record tells only the size class that the sender chose by [`Padding`].
//! - After a key update, a stolen traffic key opens nothing that was sealed before it.
//!
//! # Does not provide
//!
//! - An authenticated end: a cut connection looks the same as an orderly one. Whoever needs to know asks
//!   after reconnecting.
//! - Recovery: whoever has a traffic key can follow all key updates after it.
//! - Hiding of when records travel, how many they are, or which of them are parts and key updates.

use crate::hash::Context;

pub(crate) use self::secret::{Secret, TAG_BYTES};
pub use self::{
    opener::{Opener, RecordError},
    sealer::{SealError, Sealer},
};

mod opener;
mod sealer;
mod secret;

/// Longest plaintext of a record, with its length field and its padding.
pub const RECORD_PLAINTEXT_BYTES_MAX: usize = 8192;

/// Longest record: kind, plaintext, tag.
pub const RECORD_BYTES_MAX: usize = 1 + RECORD_PLAINTEXT_BYTES_MAX + TAG_BYTES;

/// Longest message that a [`Sealer`] takes, and that an [`Opener`] puts together from parts.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// Most records under one key, the key update at its end included.
pub const EPOCH_RECORDS_MAX: u64 = 1 << 24;

/// Most bytes of records under one key, the key update at its end included.
pub const EPOCH_BYTES_MAX: u64 = 1 << 30;

/// How long a key may be used. The core has no clock: the shell calls [`Sealer::update_key`] in time.
pub const EPOCH_MS_MAX: u64 = 60 * 60 * 1000;

/// To which sizes the plaintext of a record is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// 512 bytes and its doublings, so that passing and ordering much look alike.
    Submission,
    /// Multiples of 64 bytes.
    Block64,
}

impl Padding {
    const ALL: [Self; 2] = [Self::Submission, Self::Block64];

    /// The size of a plaintext that holds `content_bytes` behind its length field.
    fn plaintext_bytes(self, content_bytes: usize) -> usize {
        let filled = LENGTH_BYTES + content_bytes;
        match self {
            Self::Submission => filled.next_power_of_two().max(512),
            Self::Block64 => filled.next_multiple_of(64),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Whole = 1,
    Part = 2,
    KeyUpdate = 3,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Whole),
            2 => Some(Self::Part),
            3 => Some(Self::KeyUpdate),
            _ => None,
        }
    }
}

/// The key of one direction, and how far it is used.
#[derive(Debug)]
struct Traffic {
    key: Secret,
    epoch: u32,
    /// Records of this epoch so far, which is the sequence number of the next.
    records: u64,
    /// Bytes of these records.
    bytes: u64,
}

impl Traffic {
    const fn new(key: Secret) -> Self {
        Self { key, epoch: 0, records: 0, bytes: 0 }
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.epoch.to_le_bytes());
        nonce[4..].copy_from_slice(&self.records.to_le_bytes());
        nonce
    }

    /// The counts after `records` more of `bytes` in all; `None` when the epoch has no room for them.
    fn counts_after(&self, records: u64, bytes: usize) -> Option<(u64, u64)> {
        let records = self.records.checked_add(records)?;
        let bytes = self.bytes.checked_add(u64::try_from(bytes).ok()?)?;
        (records <= EPOCH_RECORDS_MAX && bytes <= EPOCH_BYTES_MAX).then_some((records, bytes))
    }

    /// Goes on to the next key; `None` when the epochs are used up.
    fn rekey(&mut self) -> Option<()> {
        self.epoch = self.epoch.checked_add(1)?;
        self.key = Secret::derive(Context::Rekey, &[self.key.as_bytes()]);
        (self.records, self.bytes) = (0, 0);
        Some(())
    }
}

/// Associated data: the kind, and how long the ciphertext is with its tag.
fn associated_data(kind: Kind, ciphertext_bytes: usize) -> [u8; 5] {
    let [a, b, c, d] = u32_of(ciphertext_bytes).to_le_bytes();
    [kind as u8, a, b, c, d]
}

fn u32_of(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("no record and no message is longer than MESSAGE_BYTES_MAX")
}

const LENGTH_BYTES: usize = 4;

/// Longest content of a record.
const CONTENT_BYTES_MAX: usize = RECORD_PLAINTEXT_BYTES_MAX - LENGTH_BYTES;

/// Total and offset.
const PART_HEADER_BYTES: usize = 4 + 4;

/// What every part but the last carries of its message.
const PART_BYTES_MAX: usize = CONTENT_BYTES_MAX - PART_HEADER_BYTES;

/// A key update has no content, and the smallest plaintext there is.
const KEY_UPDATE_BYTES: usize = 1 + KEY_UPDATE_PLAINTEXT_BYTES + TAG_BYTES;
const KEY_UPDATE_PLAINTEXT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        let key = || Secret::derive(Context::ClientTraffic, &[b"test"]);
        (Sealer::new(key()), Opener::new(key(), MESSAGE_BYTES_MAX))
    }

    fn seal(sealer: &mut Sealer, message: &[u8]) -> Result<Vec<Vec<u8>>, SealError> {
        let mut records = Vec::new();
        sealer.seal(message, Padding::Block64, &mut records).map(|()| records)
    }

    fn kinds(records: &[Vec<u8>]) -> Vec<u8> {
        records.iter().map(|record| record[0]).collect()
    }

    /// Puts both ends as far into their epoch as a long session would.
    fn advance(sealer: &mut Sealer, opener: &mut Opener, change: impl Fn(&mut Traffic)) {
        change(sealer.traffic());
        change(opener.traffic());
    }

    #[test]
    fn the_sealer_updates_its_key_before_the_records_of_an_epoch_run_out() {
        let (mut sealer, mut opener) = pair();
        advance(&mut sealer, &mut opener, |traffic| traffic.records = EPOCH_RECORDS_MAX - 2);
        let last = seal(&mut sealer, b"last").unwrap();
        assert_eq!(kinds(&last), [1]);
        let next = seal(&mut sealer, b"next").unwrap();
        assert_eq!(kinds(&next), [3, 1]);
        let mut opened = Vec::new();
        for record in last.into_iter().chain(next) {
            opened.extend(opener.open(record).unwrap());
        }
        assert_eq!(opened, [b"last", b"next"]);
        assert_eq!((sealer.traffic().epoch, sealer.traffic().records), (1, 1));
    }

    #[test]
    fn the_sealer_updates_its_key_before_the_bytes_of_an_epoch_run_out() {
        let room = u64::try_from(RECORD_BYTES_MAX + KEY_UPDATE_BYTES).unwrap();
        let (mut sealer, mut opener) = pair();
        advance(&mut sealer, &mut opener, |traffic| traffic.bytes = EPOCH_BYTES_MAX - room);
        let records = seal(&mut sealer, &[7; 3 * PART_BYTES_MAX]).unwrap();
        assert_eq!(kinds(&records), [2, 3, 2, 2]);
        let opened: Vec<_> = records.into_iter().map(|record| opener.open(record).unwrap()).collect();
        assert_eq!(opened, [None, None, None, Some(vec![7; 3 * PART_BYTES_MAX])]);
    }

    #[test]
    fn the_opener_refuses_a_record_beyond_its_epoch() {
        let records_full = |traffic: &mut Traffic| traffic.records = EPOCH_RECORDS_MAX;
        let bytes_full = |traffic: &mut Traffic| traffic.bytes = EPOCH_BYTES_MAX - 80;
        for over in [records_full as fn(&mut Traffic), bytes_full] {
            let (mut sealer, mut opener) = pair();
            let record = sealer.update_key().unwrap();
            advance(&mut sealer, &mut opener, over);
            assert_eq!(opener.open(record), Err(RecordError::EpochFull));
        }
    }

    #[test]
    fn epochs_run_out_instead_of_wrapping() {
        let (mut sealer, mut opener) = pair();
        advance(&mut sealer, &mut opener, |traffic| traffic.epoch = u32::MAX);
        assert_eq!(sealer.update_key(), Err(SealError::Exhausted));
        let record = seal(&mut sealer, b"last key").unwrap().remove(0);
        assert_eq!(opener.open(record), Ok(Some(b"last key".to_vec())));
        sealer.traffic().records = EPOCH_RECORDS_MAX - 1;
        assert_eq!(seal(&mut sealer, b"no more"), Err(SealError::Exhausted));
    }

    #[test]
    fn padding_knows_only_its_classes() {
        let sizes =
            |padding: Padding| [0, 60, 61, 508, 509, 8188].map(|bytes| padding.plaintext_bytes(bytes));
        assert_eq!(sizes(Padding::Submission), [512, 512, 512, 512, 1024, 8192]);
        assert_eq!(sizes(Padding::Block64), [64, 64, 128, 512, 576, 8192]);
    }
}
