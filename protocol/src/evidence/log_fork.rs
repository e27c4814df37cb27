//! Evidence that a service's transparency log contradicts itself.

use crate::{
    certificate::SignedCertificate,
    evidence::{
        About, Culprit, EvidenceError, EvidenceReport, Finding, Refuted, Undecidable, Verdict, file_of,
    },
    keys::PublicKey,
    log::{Contradiction, NOTE_BYTES_MAX, log_fork},
    revocation::Revocations,
};

/// Two statements of one log that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFork {
    /// Root key of the service.
    pub service: PublicKey,
    /// Certificate of the log's key.
    pub certificate: SignedCertificate,
    /// A checkpoint, or the bundle of a replay file; at most [`crate::log::NOTE_BYTES_MAX`] bytes.
    pub first: Vec<u8>,
    /// Another one, no longer.
    pub second: Vec<u8>,
}

impl LogFork {
    /// One word for the kind, as [`crate::Case::kind`].
    pub const KIND: &str = "log-fork";

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { service, certificate, first, second } = self;
        let mut bytes = file_of(About::Log { service: *service, certificate: certificate.clone() });
        for statement in [first, second] {
            let len = u32::try_from(statement.len()).expect("a note is short");
            bytes.extend([&len.to_le_bytes()[..], statement].concat());
        }
        bytes
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
                Err(verdict) => verdict,
            },
        }
    }

    fn finding(&self, revocations: &Revocations) -> Result<Finding, Verdict> {
        let root = self.service.enroll().map_err(|_| Verdict::NotProven(Refuted::NoKey))?;
        let refuted = |error| Verdict::NotProven(Refuted::Log(error));
        let found = log_fork(&root, &self.certificate, &self.first, &self.second).map_err(refuted)?;
        let certificate = self.certificate.verify(&root);
        let certificate = certificate.map_err(|_| Verdict::NotProven(Refuted::NoKey))?;
        let serial = certificate.serial();
        if revocations.is_revoked_at_some_time(serial) {
            return Err(Verdict::Undecidable(Undecidable::Revoked { serial }));
        }
        let detail = match found {
            Contradiction::OtherOrigin => "kept two logs under one key".to_owned(),
            Contradiction::OtherRoot { size } => {
                format!("signed two logs of {size} entries with different roots")
            }
            Contradiction::OtherBlock { height } => {
                format!("logged two blocks of one match at height {height}")
            }
            Contradiction::OtherEntry { index } => {
                format!("signed two logs with different entries at {index}")
            }
        };
        let culprit = Culprit::Log { serial };
        Ok(Finding { culprit, turn: None, height: None, seat: None, detail })
    }
}

/// `{ length u32 ‖ bytes }` twice, and nothing after it.
pub(super) fn statements(bytes: &[u8]) -> Result<[Vec<u8>; 2], EvidenceError> {
    let (first, rest) = statement(bytes)?;
    let (second, rest) = statement(rest)?;
    if rest.is_empty() { Ok([first, second]) } else { Err(EvidenceError::Statements) }
}

fn statement(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), EvidenceError> {
    let (len, rest) = bytes.split_first_chunk().ok_or(EvidenceError::Cut)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > NOTE_BYTES_MAX {
        return Err(EvidenceError::Statements);
    }
    let (statement, rest) = rest.split_at_checked(len).ok_or(EvidenceError::Cut)?;
    Ok((statement.to_vec(), rest))
}
