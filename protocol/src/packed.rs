//! Messages of a server that travel compressed. `docs/protocol.md`, "Packed messages".

use crate::{
    codec::{CodecError, DECODE_BYTES_MAX, Wire, decode_exact, encode},
    message::ServerMessage,
};

/// The encoding of the [`ServerMessage::Packed`] that stands for `message`, the encoding of another one; `None` if it
/// would not be shorter. Only what everybody in the room may see is to be packed: lengths tell.
pub fn pack(message: &[u8]) -> Option<Vec<u8>> {
    let compressed = snap::raw::Encoder::new().compress_vec(message).ok()?;
    let packed = encode(&ServerMessage::Packed(compressed));
    (packed.len() < message.len()).then_some(packed)
}

/// Reads a message of a server, compressed or not. No more is allocated for it than the longest message has.
///
/// # Errors
///
/// As [`decode_exact`]; what is packed must be a Block, Snapshot, Chunks or View.
pub fn read_server_message(bytes: &[u8]) -> Result<ServerMessage, CodecError> {
    let message = decode_exact(bytes)?;
    let ServerMessage::Packed(compressed) = message else { return Ok(message) };
    let got = snap::raw::decompress_len(&compressed).map_err(|_| CodecError::Malformed)?;
    let max = ServerMessage::BYTES_MAX.min(DECODE_BYTES_MAX);
    if got > max {
        return Err(CodecError::TooLong { got, max });
    }
    let raw = snap::raw::Decoder::new().decompress_vec(&compressed).map_err(|_| CodecError::Malformed)?;
    let message = decode_exact(&raw)?;
    match message {
        ServerMessage::Block(_)
        | ServerMessage::Snapshot(_)
        | ServerMessage::Chunks(_)
        | ServerMessage::View(_) => Ok(message),
        ServerMessage::Accept { .. }
        | ServerMessage::Created { .. }
        | ServerMessage::Lobby(_)
        | ServerMessage::Genesis { .. }
        | ServerMessage::CaughtUp { .. }
        | ServerMessage::Receipt(_)
        | ServerMessage::Refused { .. }
        | ServerMessage::Failed(_)
        | ServerMessage::Ping(_)
        | ServerMessage::Pong(_)
        | ServerMessage::Goodbye { .. }
        | ServerMessage::Relay(_)
        | ServerMessage::Compared(_)
        | ServerMessage::Limited { .. }
        | ServerMessage::Takeback { .. }
        | ServerMessage::Packed(_)
        | ServerMessage::Conversation { .. }
        | ServerMessage::Said(_)
        | ServerMessage::NotSaid { .. }
        | ServerMessage::Notice(_)
        | ServerMessage::Rematch { .. }
        | ServerMessage::Motion { .. } => Err(CodecError::Invalid("packed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Height, state_tree::ChunkId};

    fn chunks(len: usize) -> ServerMessage {
        ServerMessage::Chunks(vec![(ChunkId::new(3), vec![7; len])])
    }

    #[test]
    fn what_was_packed_is_read_as_it_was() {
        let plain = encode(&chunks(5000));
        let packed = pack(&plain).unwrap();
        assert!(packed.len() * 10 < plain.len(), "{} bytes", packed.len());
        assert_eq!(read_server_message(&packed), Ok(chunks(5000)));
        assert_eq!(read_server_message(&plain), Ok(chunks(5000)));
        assert_eq!(pack(&encode(&chunks(1))), None, "it would not be shorter");
    }

    #[test]
    fn nothing_is_unpacked_that_is_too_long_or_not_for_packing() {
        let packed =
            |raw: &[u8]| encode(&ServerMessage::Packed(snap::raw::Encoder::new().compress_vec(raw).unwrap()));
        let (got, max) = (16 * DECODE_BYTES_MAX, DECODE_BYTES_MAX);
        assert_eq!(read_server_message(&packed(&vec![0; got])), Err(CodecError::TooLong { got, max }));
        let mut claims = encode(&ServerMessage::Packed(vec![0xff, 0xff, 0xff, 0xff, 0x0f]));
        assert_eq!(
            read_server_message(&claims),
            Err(CodecError::TooLong { got: u32::MAX.try_into().unwrap(), max })
        );
        claims.pop();
        assert_eq!(read_server_message(&claims), Err(CodecError::Malformed));
        let told = encode(&ServerMessage::CaughtUp { height: Height::new(1) });
        assert_eq!(read_server_message(&packed(&told)), Err(CodecError::Invalid("packed")));
        let twice = packed(&packed(&encode(&chunks(9))));
        assert_eq!(read_server_message(&twice), Err(CodecError::Invalid("packed")));
        assert_eq!(read_server_message(&packed(&[])), Err(CodecError::Malformed));
    }
}
