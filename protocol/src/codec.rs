//! The one place where values become bytes and bytes become values.
//!
//! `docs/protocol.md`, "Encoding": bincode 2, fixed-width little-endian integers. bincode alone accepts
//! trailing bytes and unbounded lengths; [`decode_exact`] does not.

use bincode::{Decode, Encode, config};

/// No message, block or file record decodes from more bytes than this.
pub const DECODE_BYTES_MAX: usize = 64 * 1024;

/// A value with exactly one encoding.
pub trait Wire: Encode + Decode<()> {
    /// Longest encoding that is accepted, at most [`DECODE_BYTES_MAX`].
    const BYTES_MAX: usize;

    /// What the shape alone cannot say: lists sorted and unique, numbers in range.
    ///
    /// # Errors
    ///
    /// The rule that `self` breaks.
    fn validate(&self) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Why bytes are not the encoding of a value. Always the fault of whoever made the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Longer than the limit of its class.
    #[error("{got} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes that came.
        got: usize,
        /// [`Wire::BYTES_MAX`] of the type.
        max: usize,
    },
    /// Too short, an unknown tag, a value out of its type's range, or a length over the limit.
    #[error("malformed encoding")]
    Malformed,
    /// A whole value with bytes after it.
    #[error("bytes left over after the value")]
    Trailing,
    /// Decodes, but the same value has another encoding.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// Well-formed, but breaks a rule of its type.
    #[error("invalid value: {0}")]
    Invalid(&'static str),
}

/// Encodes `value`. The same value gives the same bytes on every machine.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, config()).expect("encoding into memory has no failing case for our types")
}

/// Decodes the one value of which `bytes` are the one encoding.
///
/// # Errors
///
/// In the order of [`CodecError`]'s variants; the first that applies.
pub fn decode_exact<T: Wire>(bytes: &[u8]) -> Result<T, CodecError> {
    const { assert!(T::BYTES_MAX <= DECODE_BYTES_MAX) };
    if bytes.len() > T::BYTES_MAX {
        return Err(CodecError::TooLong { got: bytes.len(), max: T::BYTES_MAX });
    }
    let (value, read): (T, usize) =
        bincode::decode_from_slice(bytes, config()).map_err(|_| CodecError::Malformed)?;
    if read != bytes.len() {
        return Err(CodecError::Trailing);
    }
    if encode(&value) != bytes {
        return Err(CodecError::NotCanonical);
    }
    value.validate().map_err(CodecError::Invalid)?;
    Ok(value)
}

fn config() -> impl config::Config {
    config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<DECODE_BYTES_MAX>()
}

/// `true` when each element is greater than the one before it.
pub(crate) fn strictly_ascending<K: Ord>(keys: impl IntoIterator<Item = K>) -> bool {
    let mut keys = keys.into_iter();
    let Some(mut last) = keys.next() else { return true };
    keys.all(|key| {
        let ascending = last < key;
        last = key;
        ascending
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Sample {
        number: u32,
        bytes: Vec<u8>,
        flag: Option<bool>,
    }

    impl Wire for Sample {
        const BYTES_MAX: usize = 64;
    }

    fn sample() -> Sample {
        Sample { number: 5, bytes: vec![1, 2, 3], flag: Some(true) }
    }

    #[test]
    fn numbers_have_one_fixed_width_encoding() {
        assert_eq!(encode(&sample()), [5, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 1, 1]);
    }

    #[test]
    fn every_prefix_and_every_extension_is_refused() {
        let bytes = encode(&sample());
        assert_eq!(decode_exact::<Sample>(&bytes), Ok(sample()));
        for cut in 0..bytes.len() {
            assert_eq!(decode_exact::<Sample>(&bytes[..cut]), Err(CodecError::Malformed), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode_exact::<Sample>(&longer), Err(CodecError::Trailing));
    }

    #[test]
    fn a_huge_length_is_refused_without_allocating() {
        let mut bytes = vec![5, 0, 0, 0];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(decode_exact::<Sample>(&bytes), Err(CodecError::Malformed));
    }

    #[test]
    fn unknown_option_and_bool_tags_are_refused() {
        let bytes = encode(&sample());
        for at in [15, 16] {
            let mut bad = bytes.clone();
            bad[at] = 2;
            assert_eq!(decode_exact::<Sample>(&bad), Err(CodecError::Malformed), "tag at {at}");
        }
    }

    #[test]
    fn the_limit_holds_at_the_limit_and_one_over() {
        let fits = Sample { number: 0, bytes: vec![0; 64 - 4 - 8 - 1], flag: None };
        assert_eq!(decode_exact::<Sample>(&encode(&fits)), Ok(fits));
        let over = Sample { number: 0, bytes: vec![0; 64 - 4 - 8], flag: None };
        assert_eq!(decode_exact::<Sample>(&encode(&over)), Err(CodecError::TooLong { got: 65, max: 64 }));
    }
}
