//! Receipts: the server's promise to include a transaction. `docs/protocol.md`, "Receipt".

use bincode::{Decode, Encode};

use crate::{
    codec::{CodecError, Wire, decode_exact, encode},
    hash::{Context, Digest, hash},
    ids::{Attempt, MatchId, Millis, Seat, Seq, Turn, TxHash},
    keys::EnrolledKey,
    proof::{ServerProof, receipt_leaf},
    transaction::ReadTransaction,
};

/// Promises that `transaction` will stand in the Turn block of this turn and attempt, if such a block comes
/// to exist.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// Version of this layout: 1.
    pub version: u8,
    /// In which match.
    pub match_id: MatchId,
    /// Whose transaction.
    pub seat: Seat,
    /// Its number.
    pub seq: Seq,
    /// Its name.
    pub transaction: TxHash,
    /// For which turn.
    pub turn: Turn,
    /// For which attempt at it.
    pub attempt: Attempt,
    /// When the server received it.
    pub received: Millis,
}

impl Receipt {
    /// The layout that this build writes.
    pub const VERSION: u8 = 1;

    /// Is it for this transaction, in every field?
    pub fn is_for(&self, read: &ReadTransaction) -> bool {
        let tx = read.get();
        self.transaction == read.hash()
            && (self.match_id, self.seat, self.seq) == (tx.match_id, tx.seat, tx.seq)
            && (self.turn, self.attempt) == (tx.turn, tx.attempt)
    }

    /// What a batch of the server's proofs contains for the receipt.
    pub fn leaf(&self) -> Digest {
        receipt_leaf(hash(Context::Receipt, &[&encode(self)]))
    }
}

impl Wire for Receipt {
    const BYTES_MAX: usize = 128;

    fn validate(&self) -> Result<(), &'static str> {
        if self.version == Self::VERSION { Ok(()) } else { Err("receipt version") }
    }
}

/// A receipt as it came, with the server's proof.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ProvenReceipt {
    /// Encoding of the [`Receipt`].
    pub receipt: Vec<u8>,
    /// Proof of the server.
    pub proof: ServerProof,
}

impl ProvenReceipt {
    /// Checks that the signer with this key and serial gave this receipt.
    ///
    /// # Errors
    ///
    /// In the order of [`ReceiptError`]'s variants; the first that applies.
    pub fn verify(&self, serial: u32, signer: &EnrolledKey) -> Result<Receipt, ReceiptError> {
        let receipt: Receipt = decode_exact(&self.receipt).map_err(ReceiptError::Encoding)?;
        if self.proof.serial != serial {
            return Err(ReceiptError::WrongSigner);
        }
        let leaf = receipt_leaf(hash(Context::Receipt, &[&self.receipt]));
        self.proof.verify(leaf, signer).map_err(|_| ReceiptError::BadProof)?;
        Ok(receipt)
    }
}

impl Wire for ProvenReceipt {
    const BYTES_MAX: usize = 8 + Receipt::BYTES_MAX + ServerProof::BYTES_MAX;
}

/// Why a receipt does not count. Always the server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not the encoding of a receipt.
    #[error("receipt is malformed")]
    Encoding(#[source] CodecError),
    /// Signed under another certificate than the one in force.
    #[error("receipt is of another signer")]
    WrongSigner,
    /// The proof does not hold.
    #[error("proof of the receipt does not hold")]
    BadProof,
}
