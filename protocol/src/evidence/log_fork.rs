//! Evidence that a service's transparency log contradicts itself.

use bincode::{Decode, Encode};

use crate::{
    certificate::SignedCertificate,
    evidence::{About, Culprit, EvidenceReport, Finding, Refuted, Undecidable, Verdict, file_of},
    keys::PublicKey,
    log::{Contradiction, log_fork},
    revocation::Revocations,
};

/// Two statements of one log that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LogFork {
    /// Root key of the service.
    pub service: PublicKey,
    /// Certificate of the log's key.
    pub certificate: SignedCertificate,
    /// A checkpoint, or the bundle of a replay file.
    pub first: Vec<u8>,
    /// Another one.
    pub second: Vec<u8>,
}

impl LogFork {
    /// One word for the kind, as [`crate::Case::kind`].
    pub const KIND: &str = "log-fork";

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        file_of(About::Log(self.clone()))
    }

    /// Judges it. `pinned` are the root keys that are trusted.
    pub fn judge(&self, pinned: &[PublicKey], revocations: &Revocations) -> EvidenceReport {
        let pinned = pinned.contains(&self.service);
        EvidenceReport {
            kind: Self::KIND,
            match_id: None,
            root_key: self.service,
            pinned,
            verdict: match self.finding(revocations) {
                Ok(_) if !pinned => Verdict::Undecidable(Undecidable::NotPinned),
                Ok(finding) => Verdict::Proven(finding),
                Err(refuted) => Verdict::NotProven(refuted),
            },
        }
    }

    fn finding(&self, revocations: &Revocations) -> Result<Finding, Refuted> {
        let root = self.service.enroll().map_err(|_| Refuted::NoKey)?;
        let found = log_fork(&root, &self.certificate, &self.first, &self.second).map_err(Refuted::Log)?;
        let certificate = self.certificate.verify(&root).map_err(|_| Refuted::NoKey)?;
        let serial = certificate.serial();
        if revocations.is_revoked_at_some_time(serial) {
            return Err(Refuted::RevokedSigner { serial });
        }
        let detail = match found {
            Contradiction::OtherOrigin => "kept two logs under one key".to_owned(),
            Contradiction::OtherRoot { size } => {
                format!("signed two logs of {size} entries with different roots")
            }
            Contradiction::OtherEntry { index } => {
                format!("signed two logs with different entries at {index}")
            }
        };
        let culprit = Culprit::Log { serial };
        Ok(Finding { culprit, turn: None, height: None, seat: None, detail })
    }
}
