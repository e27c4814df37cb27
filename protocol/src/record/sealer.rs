use super::{
    CONTENT_BYTES_MAX, KEY_UPDATE_BYTES, Kind, MESSAGE_BYTES_MAX, PART_BYTES_MAX, Padding, RECORD_BYTES_MAX,
    Traffic, associated_data, u32_of,
};
use crate::record::secret::{Secret, TAG_BYTES};

/// The sending half of one direction.
#[derive(Debug)]
pub struct Sealer(Traffic);

impl Sealer {
    pub(crate) const fn new(key: Secret) -> Self {
        Self(Traffic::new(key))
    }

    /// Seals `message` and appends the records that carry it to `records`: one for a message of up to 8188
    /// bytes, else one for every 8180 bytes, and a key update among them where one is due. They must be sent
    /// in this order, and nothing else between them.
    ///
    /// An empty message is a message.
    ///
    /// # Errors
    ///
    /// - [`SealError::TooLong`]: nothing was appended; the session goes on.
    /// - [`SealError::Exhausted`]: no record may be sealed any more. Some of this message's records may have
    ///   been appended. End the session.
    pub fn seal(
        &mut self,
        message: &[u8],
        padding: Padding,
        records: &mut impl Extend<Vec<u8>>,
    ) -> Result<(), SealError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(SealError::TooLong { got: message.len() });
        }
        if message.len() <= CONTENT_BYTES_MAX {
            return self.append(Kind::Whole, &[message], padding, records);
        }
        let total = u32_of(message.len()).to_le_bytes();
        for (index, part) in message.chunks(PART_BYTES_MAX).enumerate() {
            let offset = u32_of(index * PART_BYTES_MAX).to_le_bytes();
            self.append(Kind::Part, &[&total, &offset, part], padding, records)?;
        }
        Ok(())
    }

    /// Seals the record after which this direction goes on under its next key. Called by the shell so often
    /// that no key is older than [`EPOCH_MS_MAX`](super::EPOCH_MS_MAX).
    ///
    /// # Errors
    ///
    /// [`SealError::Exhausted`]: there is no next key. Nothing changed.
    pub fn update_key(&mut self) -> Result<Vec<u8>, SealError> {
        if self.0.epoch == u32::MAX {
            return Err(SealError::Exhausted);
        }
        let record = self.seal_record(Kind::KeyUpdate, &[], Padding::Block64)?;
        self.0.rekey().ok_or(SealError::Exhausted)?;
        Ok(record)
    }

    fn append(
        &mut self,
        kind: Kind,
        content: &[&[u8]],
        padding: Padding,
        records: &mut impl Extend<Vec<u8>>,
    ) -> Result<(), SealError> {
        // Room for the longest record, not for this one: once an epoch is full it is so for every message.
        if self.0.counts_after(2, RECORD_BYTES_MAX + KEY_UPDATE_BYTES).is_none() {
            records.extend(Some(self.update_key()?));
        }
        records.extend(Some(self.seal_record(kind, content, padding)?));
        Ok(())
    }

    fn seal_record(&mut self, kind: Kind, content: &[&[u8]], padding: Padding) -> Result<Vec<u8>, SealError> {
        let content_bytes = content.iter().map(|piece| piece.len()).sum();
        let plaintext_bytes = padding.plaintext_bytes(content_bytes);
        let record_bytes = 1 + plaintext_bytes + TAG_BYTES;
        let mut record = Vec::with_capacity(record_bytes);
        record.push(kind as u8);
        record.extend_from_slice(&u32_of(content_bytes).to_le_bytes());
        content.iter().for_each(|piece| record.extend_from_slice(piece));
        record.resize(1 + plaintext_bytes, 0);

        // Counted before the bytes exist: whatever happens to them, no nonce is used twice.
        let nonce = self.0.nonce();
        let counts = self.0.counts_after(1, record_bytes).ok_or(SealError::Exhausted)?;
        (self.0.records, self.0.bytes) = counts;
        let associated_data = associated_data(kind, plaintext_bytes + TAG_BYTES);
        let tag = self.0.key.seal(nonce, &associated_data, &mut record[1..]);
        record.extend_from_slice(&tag);
        Ok(record)
    }

    #[cfg(test)]
    pub(super) fn traffic(&mut self) -> &mut Traffic {
        &mut self.0
    }
}

/// Why a message was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The calling code's fault.
    #[error("message of {got} bytes, at most {MESSAGE_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes of the message.
        got: usize,
    },
    /// All keys of this session are used up.
    #[error("the keys of this session are used up")]
    Exhausted,
}
