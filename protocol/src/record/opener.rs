use super::{
    CONTENT_BYTES_MAX, KEY_UPDATE_PLAINTEXT_BYTES, Kind, LENGTH_BYTES, PART_BYTES_MAX, Padding,
    RECORD_PLAINTEXT_BYTES_MAX, Traffic, associated_data,
};
use crate::record::secret::{Secret, TAG_BYTES};

/// The receiving half of one direction.
#[derive(Debug)]
pub struct Opener(Option<Live>);

impl Opener {
    pub(crate) const fn new(key: Secret, message_bytes_max: usize) -> Self {
        Self(Some(Live { traffic: Traffic::new(key), message_bytes_max, partial: None }))
    }

    /// Accepts no message longer than `message_bytes_max` from here on, nor one longer than the limit so
    /// far, which at first is [`MESSAGE_BYTES_MAX`](super::MESSAGE_BYTES_MAX). This bounds the memory that the other end can occupy.
    #[must_use]
    pub fn limited_to(mut self, message_bytes_max: usize) -> Self {
        if let Some(live) = &mut self.0 {
            live.message_bytes_max = live.message_bytes_max.min(message_bytes_max);
        }
        self
    }

    /// Opens the next record and returns the message that it completes: `None` for a key update and for a
    /// part that is not the last. Decrypts in place, and a message of one record is returned in its buffer.
    ///
    /// # Errors
    ///
    /// In the order of [`RecordError`]'s variants; the first that applies. The key is wiped: every later call
    /// gives [`RecordError::Ended`], and the session must be closed.
    pub fn open(&mut self, record: Vec<u8>) -> Result<Option<Vec<u8>>, RecordError> {
        let live = self.0.as_mut().ok_or(RecordError::Ended)?;
        let opened = live.open(record);
        if opened.is_err() {
            self.0 = None;
        }
        opened
    }

    #[cfg(test)]
    pub(super) fn traffic(&mut self) -> &mut Traffic {
        &mut self.0.as_mut().unwrap().traffic
    }
}

#[derive(Debug)]
struct Live {
    traffic: Traffic,
    message_bytes_max: usize,
    partial: Option<Partial>,
}

impl Live {
    fn open(&mut self, mut record: Vec<u8>) -> Result<Option<Vec<u8>>, RecordError> {
        let (kind, content_bytes) = self.decrypt(&mut record)?;
        let content = 1 + LENGTH_BYTES..1 + LENGTH_BYTES + content_bytes;
        match kind {
            Kind::Whole => {
                if self.partial.is_some() {
                    return Err(RecordError::Interleaved);
                }
                self.check_message_length(content_bytes)?;
                record.truncate(content.end);
                record.drain(..content.start);
                Ok(Some(record))
            }
            Kind::Part => self.take_part(&record[content]),
            Kind::KeyUpdate => {
                if content_bytes > 0 || record.len() != 1 + KEY_UPDATE_PLAINTEXT_BYTES + TAG_BYTES {
                    return Err(RecordError::KeyUpdate);
                }
                self.traffic.rekey().ok_or(RecordError::KeyUpdate)?;
                Ok(None)
            }
        }
    }

    /// Decrypts `record` in place, counts it, and returns its kind and the length of its content.
    fn decrypt(&mut self, record: &mut [u8]) -> Result<(Kind, usize), RecordError> {
        let record_bytes = record.len();
        let bad_length = RecordError::Length { got: record_bytes };
        let (kind, ciphertext) = record.split_first_mut().ok_or(bad_length)?;
        let kind = Kind::from_byte(*kind).ok_or(RecordError::Kind { got: *kind })?;
        let ciphertext_bytes = ciphertext.len();
        let (plaintext, tag) = ciphertext.split_last_chunk_mut::<TAG_BYTES>().ok_or(bad_length)?;
        if plaintext.is_empty()
            || plaintext.len() > RECORD_PLAINTEXT_BYTES_MAX
            || !plaintext.len().is_multiple_of(64)
        {
            return Err(bad_length);
        }
        let counts = self.traffic.counts_after(1, record_bytes).ok_or(RecordError::EpochFull)?;
        let associated_data = associated_data(kind, ciphertext_bytes);
        self.traffic
            .key
            .open(self.traffic.nonce(), &associated_data, plaintext, tag)
            .ok_or(RecordError::Unauthentic)?;
        (self.traffic.records, self.traffic.bytes) = counts;
        Ok((kind, content_bytes(plaintext)?))
    }

    fn take_part(&mut self, content: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        let (total, rest) = content.split_first_chunk().ok_or(RecordError::Part)?;
        let (offset, part) = rest.split_first_chunk().ok_or(RecordError::Part)?;
        let (total, offset) = (usize_of(*total), usize_of(*offset));
        self.check_message_length(total)?;
        let partial = self.partial.get_or_insert_with(|| Partial { total, bytes: Vec::new() });
        let fits = total > CONTENT_BYTES_MAX
            && total == partial.total
            && offset == partial.bytes.len()
            && part.len() == PART_BYTES_MAX.min(total - offset);
        if !fits {
            return Err(RecordError::Part);
        }
        partial.bytes.extend_from_slice(part);
        if partial.bytes.len() < partial.total {
            return Ok(None);
        }
        Ok(self.partial.take().map(|whole| whole.bytes))
    }

    fn check_message_length(&self, got: usize) -> Result<(), RecordError> {
        if got > self.message_bytes_max {
            return Err(RecordError::MessageLength { got, max: self.message_bytes_max });
        }
        Ok(())
    }
}

/// A message of which parts have come. `bytes` grows with them and is always shorter than `total`, so
/// announcing much costs the announcer as much.
#[derive(Debug)]
struct Partial {
    total: usize,
    bytes: Vec<u8>,
}

/// Why a record was refused. The other end's fault, or that of whoever sits between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// An earlier record was refused.
    #[error("the session has ended")]
    Ended,
    /// No kind has this number.
    #[error("record of unknown kind {got}")]
    Kind {
        /// First byte of the record.
        got: u8,
    },
    /// No padding gives a record of this length.
    #[error("record of {got} bytes")]
    Length {
        /// Bytes of the record.
        got: usize,
    },
    /// The sender should have updated its key before.
    #[error("more records or bytes under one key than are allowed")]
    EpochFull,
    /// Not what the other end sealed as the next record.
    #[error("record does not decrypt")]
    Unauthentic,
    /// The length field points beyond the record.
    #[error("content longer than its record")]
    ContentLength,
    /// No class pads this content to this size, or the padding is not zero.
    #[error("malformed padding")]
    Padding,
    /// A whole message between the parts of another.
    #[error("message inside another message")]
    Interleaved,
    /// Longer than what this end wants to take.
    #[error("message of {got} bytes, at most {max} are allowed")]
    MessageLength {
        /// Bytes of the message, or those announced.
        got: usize,
        /// The limit of this opener.
        max: usize,
    },
    /// A part that is not the next of its message, or of a message that needs no parts.
    #[error("part out of order or of the wrong length")]
    Part,
    /// A key update with content or padded to more than it needs, or one after which there is no key.
    #[error("malformed key update")]
    KeyUpdate,
}

/// The length of the content in front of correct padding.
fn content_bytes(plaintext: &[u8]) -> Result<usize, RecordError> {
    let (content_bytes, filled) = plaintext.split_first_chunk().ok_or(RecordError::ContentLength)?;
    let content_bytes = usize_of(*content_bytes);
    let (_, padding) = filled.split_at_checked(content_bytes).ok_or(RecordError::ContentLength)?;
    let class_fits = Padding::ALL.iter().any(|class| class.plaintext_bytes(content_bytes) == plaintext.len());
    if !class_fits || padding.iter().any(|byte| *byte != 0) {
        return Err(RecordError::Padding);
    }
    Ok(content_bytes)
}

/// On a machine where this does not fit, the value stands for "too long", which it is.
fn usize_of(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        hash::Context,
        record::{MESSAGE_BYTES_MAX, Sealer},
    };

    #[test]
    fn memory_grows_with_the_parts_that_came_and_not_with_the_announced_total() {
        let key = || Secret::derive(Context::ClientTraffic, &[b"test"]);
        let (mut sealer, mut opener) = (Sealer::new(key()), Opener::new(key(), MESSAGE_BYTES_MAX));
        let mut records = Vec::new();
        sealer.seal(&[7; MESSAGE_BYTES_MAX], Padding::Block64, &mut records).unwrap();
        let last = records.pop().unwrap();
        for (parts, record) in (1..).zip(records) {
            assert_eq!(opener.open(record), Ok(None));
            let bytes = &opener.0.as_ref().unwrap().partial.as_ref().unwrap().bytes;
            assert_eq!(bytes.len(), parts * PART_BYTES_MAX);
            assert!(bytes.capacity() <= 2 * bytes.len());
        }
        assert_eq!(opener.open(last), Ok(Some(vec![7; MESSAGE_BYTES_MAX])));
    }
}
