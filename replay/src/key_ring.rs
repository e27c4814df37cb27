//! Signatures verified ahead of the chain verifier, on all cores.
//!
//! A block remembers under which key its signatures hold, and the chain verifier looks at that when it comes
//! to the block. Which key is the right one, only it knows; the key ring guesses from what the blocks say of
//! themselves. A wrong guess costs time and decides nothing.

use std::collections::BTreeMap;

use cadastre_protocol::{
    BlockKind, Chain, Delegation, EnrolledKey, Epoch, Genesis, ReadProvenBlock, Seat, SignedDelegation,
    TransactionBody, decode_exact,
};

/// The keys that a match has announced so far.
#[derive(Debug)]
pub(crate) struct KeyRing {
    /// The service's root key.
    root: Option<EnrolledKey>,
    /// Block signers by the serial of their certificate.
    signers: BTreeMap<u32, EnrolledKey>,
    sessions: BTreeMap<(Seat, Epoch), EnrolledKey>,
}

impl KeyRing {
    pub(crate) fn new(genesis: &Genesis, chain: &Chain) -> Self {
        let first = (chain.signer().serial(), chain.signer().key().clone());
        Self {
            root: genesis.service.enroll().ok(),
            signers: BTreeMap::from([first]),
            sessions: BTreeMap::new(),
        }
    }

    /// Takes up the keys that a block announces. To be called for each block, in order.
    pub(crate) fn learn(&mut self, block: &ReadProvenBlock) {
        let block = block.block();
        if let (BlockKind::KeyChange { certificate }, Some(root)) = (&block.header().kind, &self.root)
            && let Ok(signer) = certificate.verify(root)
        {
            self.signers.insert(signer.serial(), signer.key().clone());
        }
        for entry in block.entries() {
            let tx = entry.transaction.get();
            match &tx.body {
                TransactionBody::Join(delegation)
                | TransactionBody::Delegate(delegation)
                | TransactionBody::LateJoin { delegation, .. } => {
                    if let Some(session) = session_of(delegation) {
                        self.sessions.insert((tx.seat, tx.epoch), session);
                    }
                }
                TransactionBody::Turn(_)
                | TransactionBody::Commit(_)
                | TransactionBody::Reveal { .. }
                | TransactionBody::Takeback { .. }
                | TransactionBody::Resign
                | TransactionBody::Motion(_) => {}
            }
        }
    }

    /// Verifies all signatures of a block under the keys that probably are the right ones. One that does not
    /// hold is left to the chain verifier, which names it.
    pub(crate) fn verify(&self, block: &mut ReadProvenBlock) {
        if let Some(signer) = self.signers.get(&block.block().header().signer_serial) {
            let _ = block.verify_proof(signer);
        }
        for entry in block.entries_mut() {
            let tx = entry.transaction.get();
            if let Some(session) = self.sessions.get(&(tx.seat, tx.epoch)) {
                let _ = entry.transaction.verify(session);
            }
        }
    }
}

fn session_of(delegation: &SignedDelegation) -> Option<EnrolledKey> {
    let delegation: Delegation = decode_exact(&delegation.body).ok()?;
    delegation.session.enroll().ok()
}
