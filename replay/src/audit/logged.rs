//! What a file says of the transparency log.

use cadastre_protocol::{
    EnrolledKey, Head, MatchId, Revocations,
    log::{LogClaim, LogProof, LogProofError, LoggedHead},
};

use crate::{damage::Damage, record::Record};

/// The bundle of a file, and the block that it is about as soon as that has come.
#[derive(Debug)]
pub(super) struct LogCheck {
    pub(super) offset: usize,
    read: Result<(LogProof, LogClaim), LogProofError>,
    block: Option<Head>,
}

impl LogCheck {
    pub(super) fn read(record: &Record<'_>) -> Result<Self, Damage> {
        let proof = LogProof::parse(&record.raw()?);
        let read = proof.and_then(|proof| proof.claim().map(|claim| (proof, claim)));
        Ok(Self { offset: record.offset, read, block: None })
    }

    /// Looks at each block that is found good.
    pub(super) fn see(&mut self, head: &Head) {
        if self.read.as_ref().is_ok_and(|(_, claim)| claim.entry.height == head.height) {
            self.block = Some(*head);
        }
    }

    /// Judges the bundle when all blocks have come.
    pub(super) fn judge(
        self,
        match_id: MatchId,
        root: Option<&EnrolledKey>,
        revocations: &Revocations,
    ) -> Result<LoggedHead, String> {
        let (proof, LogClaim { entry, .. }) = self.read.map_err(|error| error.to_string())?;
        if entry.match_id != match_id {
            return Err("what is logged is another match".into());
        }
        let head = self.block.ok_or("what is logged is a block that the file does not have")?;
        if entry.block != head.block {
            return Err(format!("another block is logged at height {}: {}", entry.height, entry.block));
        }
        let root = root.ok_or("the root key cannot be used")?;
        let logged = proof.verify(root, head.server_time).map_err(|error| error.to_string())?;
        let serial = logged.serial();
        if revocations.is_revoked(serial, head.server_time) {
            return Err(format!("the certificate {serial} of the log's key is revoked"));
        }
        Ok(logged)
    }
}
