use rand_core::CryptoRng;
use x25519_dalek::EphemeralSecret;

use super::{
    HandshakeError, M1_BYTES, M2_BYTES, M3_BYTES, NONCE, SUITE, ServerSession, VERSION, length_error,
    transcript::{HandshakeKeys, Label, SessionKeys, Transcript, contributory},
};
use crate::{
    certificate::{CERTIFICATE_BYTES, CertificateError, KeyRole, SignedCertificate},
    codec::strictly_ascending,
    hash::Context,
    ids::Millis,
    keys::{KeyError, PublicKey, SecretKey, Signature},
    record::{MESSAGE_BYTES_MAX, Opener, Sealer, Secret, TAG_BYTES},
};

/// What a server proves itself with: its handshake key and the root's certificate for it.
#[derive(Debug)]
pub struct ServerIdentity {
    root: PublicKey,
    certificate: SignedCertificate,
    key: SecretKey,
}

impl ServerIdentity {
    /// Puts the parts together, checked the way a client at the time `now` will check them: better refused
    /// at the start than by every client.
    ///
    /// # Errors
    ///
    /// In the order of [`ServerIdentityError`]'s variants; the first that applies.
    pub fn new(
        root: PublicKey,
        certificate: SignedCertificate,
        key: SecretKey,
        now: Millis,
    ) -> Result<Self, ServerIdentityError> {
        let enrolled = root.enroll().map_err(ServerIdentityError::Root)?;
        let verified = certificate.verify(&enrolled).map_err(ServerIdentityError::Certificate)?;
        verified.check(KeyRole::Handshake, now).map_err(ServerIdentityError::Certificate)?;
        if verified.key().public() != key.public() {
            return Err(ServerIdentityError::OtherKey);
        }
        Ok(Self { root, certificate, key })
    }
}

/// Why a server cannot prove itself with what it has. The fault of whoever set it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerIdentityError {
    /// The service root key cannot be enrolled.
    #[error("root key is not acceptable")]
    Root(#[source] KeyError),
    /// The certificate does not certify a handshake key at this time.
    #[error("certificate is not acceptable")]
    Certificate(#[source] CertificateError),
    /// The certificate is for another key.
    #[error("certificate is for another key")]
    OtherKey,
}

/// A server that waits for M1.
#[derive(Debug)]
pub struct ServerHandshake<'a> {
    identity: &'a ServerIdentity,
    transcript: Transcript,
}

impl<'a> ServerHandshake<'a> {
    /// Starts a handshake. `authority` is what the client sent as HTTP `Host`, once the caller has found it
    /// among the server's own.
    pub fn new(identity: &'a ServerIdentity, authority: &str) -> Self {
        Self { identity, transcript: Transcript::new(authority) }
    }

    /// Checks M1 and returns M2.
    ///
    /// Draws 32 bytes for the ephemeral key and then 32 for the nonce, if M1 is well-formed.
    ///
    /// # Errors
    ///
    /// In the order of [`HandshakeError`]'s variants; the first that applies. Nothing was revealed.
    pub fn receive_m1(
        self,
        m1: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<(AwaitM3, Vec<u8>), HandshakeError> {
        let Self { identity, mut transcript } = self;
        let m1: &[u8; M1_BYTES] = m1.try_into().map_err(|_| length_error(M1_BYTES, m1))?;
        let offer = Offer::parse(m1).ok_or(HandshakeError::Offer)?;
        let version = highest_common(offer.versions, &[VERSION]).ok_or(HandshakeError::NoCommonVersion)?;
        let suite = highest_common(offer.suites, &[SUITE]).ok_or(HandshakeError::NoCommonSuite)?;

        let ephemeral = EphemeralSecret::random_from_rng(rng);
        let public = x25519_dalek::PublicKey::from(&ephemeral).to_bytes();
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        if offer.ephemeral == public {
            return Err(HandshakeError::Reflected);
        }
        let shared = contributory(&ephemeral.diffie_hellman(&offer.ephemeral.into()))
            .ok_or(HandshakeError::SmallOrder)?;

        let mut m2 = Vec::with_capacity(M2_BYTES);
        m2.extend_from_slice(&[version, suite]);
        m2.extend_from_slice(&public);
        m2.extend_from_slice(&nonce);
        transcript.absorb(Label::M1, &[m1]);
        transcript.absorb(Label::M2Clear, &[&m2]);
        let keys = HandshakeKeys::derive(&transcript, &shared);
        seal_proof(identity, &keys, &mut transcript, &mut m2);
        let HandshakeKeys { client, client_finished, server: _, server_finished: _ } = keys;
        Ok((AwaitM3 { transcript, shared, client, client_finished }, m2))
    }
}

/// A server that sent M2 and waits for M3.
#[derive(Debug)]
pub struct AwaitM3 {
    transcript: Transcript,
    shared: Secret,
    client: Secret,
    client_finished: Secret,
}

impl AwaitM3 {
    /// Checks M3 and returns the server's end of the session. The first record that it seals must tell the
    /// client so.
    ///
    /// # Errors
    ///
    /// In the order of [`HandshakeError`]'s variants; the first that applies.
    pub fn receive(self, m3: &[u8]) -> Result<ServerSession, HandshakeError> {
        let Self { mut transcript, shared, client, client_finished } = self;
        let M3 { sealed, tag } = M3::parse(m3).ok_or_else(|| length_error(M3_BYTES, m3))?;
        let mut opened = *sealed;
        client
            .open(NONCE, transcript.digest().as_bytes(), &mut opened, tag)
            .ok_or(HandshakeError::Unauthentic)?;
        let (identity, signature, mac) = split_m3(&opened);

        let identity = PublicKey::new(identity).enroll().map_err(HandshakeError::Identity)?;
        let th = transcript.absorb(Label::ClientIdentity, &[identity.public().as_bytes()]);
        identity
            .verify(Context::ClientAuth, th, &Signature::new(signature))
            .map_err(|_| HandshakeError::BadSignature)?;
        let th = transcript.absorb(Label::ClientSignature, &[&signature]);
        if client_finished.mac(th) != mac {
            return Err(HandshakeError::BadMac);
        }
        transcript.absorb(Label::ClientMac, &[&mac]);

        let SessionKeys { client, server, session } = SessionKeys::derive(&transcript, &shared);
        let sealer = Sealer::new(server);
        let opener = Opener::new(client, MESSAGE_BYTES_MAX);
        Ok(ServerSession { sealer, opener, identity, session })
    }
}

fn seal_proof(
    identity: &ServerIdentity,
    keys: &HandshakeKeys,
    transcript: &mut Transcript,
    m2: &mut Vec<u8>,
) {
    let ServerIdentity { root, certificate, key } = identity;
    let associated_data = transcript.digest();
    let sealed_at = m2.len();
    m2.extend_from_slice(root.as_bytes());
    m2.extend_from_slice(&CERTIFICATE_BYTES.to_le_bytes());
    m2.extend_from_slice(&certificate.body);
    m2.extend_from_slice(certificate.signature.as_bytes());
    let th = transcript.absorb(
        Label::ServerCertificate,
        &[root.as_bytes(), &certificate.body, certificate.signature.as_bytes()],
    );
    let signature = key.sign(Context::ServerAuth, th);
    m2.extend_from_slice(signature.as_bytes());
    let th = transcript.absorb(Label::ServerSignature, &[signature.as_bytes()]);
    let mac = keys.server_finished.mac(th);
    m2.extend_from_slice(mac.as_bytes());
    transcript.absorb(Label::ServerMac, &[mac.as_bytes()]);
    let tag = keys.server.seal(NONCE, associated_data.as_bytes(), &mut m2[sealed_at..]);
    m2.extend_from_slice(&tag);
}

/// What M1 says.
struct Offer<'a> {
    versions: &'a [u8],
    suites: &'a [u8],
    ephemeral: [u8; 32],
}

impl<'a> Offer<'a> {
    fn parse(m1: &'a [u8; M1_BYTES]) -> Option<Self> {
        let (versions, rest) = m1.split_first_chunk::<5>()?;
        let (suites, rest) = rest.split_first_chunk::<5>()?;
        let (ephemeral, rest) = rest.split_first_chunk()?;
        let (_nonce, padding) = rest.split_first_chunk::<32>()?;
        let offer = Self { versions: list(versions)?, suites: list(suites)?, ephemeral: *ephemeral };
        all_zero(padding).then_some(offer)
    }
}

/// The used entries of a count and four places: at least one, ascending from 1, the unused ones zero.
fn list(field: &[u8; 5]) -> Option<&[u8]> {
    let [count, places @ ..] = field;
    let (used, unused) = places.split_at_checked(usize::from(*count))?;
    let lowest = used.first()?;
    (*lowest > 0 && strictly_ascending(used) && all_zero(unused)).then_some(used)
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn highest_common(offered: &[u8], spoken: &[u8]) -> Option<u8> {
    offered.iter().rev().find(|number| spoken.contains(number)).copied()
}

/// M3 as it stands on the wire.
struct M3<'a> {
    sealed: &'a [u8; SEALED_BYTES],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> M3<'a> {
    fn parse(m3: &'a [u8]) -> Option<Self> {
        let (sealed, tag) = m3.split_first_chunk()?;
        Some(Self { sealed, tag: tag.try_into().ok()? })
    }
}

/// Identity, signature and MAC.
fn split_m3(opened: &[u8; SEALED_BYTES]) -> ([u8; 32], [u8; 64], [u8; 32]) {
    let (mut identity, mut signature, mut mac) = ([0; 32], [0; 64], [0; 32]);
    identity.copy_from_slice(&opened[..32]);
    signature.copy_from_slice(&opened[32..96]);
    mac.copy_from_slice(&opened[96..]);
    (identity, signature, mac)
}

const SEALED_BYTES: usize = M3_BYTES - TAG_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_number_is_chosen() {
        assert_eq!(highest_common(&[1, 2, 5, 9], &[1, 2, 3, 5]), Some(5));
        assert_eq!(highest_common(&[4], &[1, 2]), None);
    }

    #[test]
    fn an_offer_has_one_form() {
        assert_eq!(list(&[2, 1, 7, 0, 0]), Some([1, 7].as_slice()));
        assert_eq!(list(&[4, 1, 2, 3, 255]), Some([1, 2, 3, 255].as_slice()));
        for bad in [
            [0, 0, 0, 0, 0],
            [5, 1, 2, 3, 4],
            [1, 0, 0, 0, 0],
            [1, 1, 2, 0, 0],
            [2, 2, 1, 0, 0],
            [2, 1, 1, 0, 0],
        ] {
            assert_eq!(list(&bad), None, "{bad:?}");
        }
    }
}
