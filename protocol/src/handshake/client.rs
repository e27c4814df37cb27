use rand_core::CryptoRng;
use x25519_dalek::EphemeralSecret;

use super::{
    ClientSession, HandshakeError, M1_BYTES, M2_BYTES, M2_CLEAR_BYTES, NONCE, SUITE, VERSION, length_error,
    transcript::{HandshakeKeys, Label, SessionKeys, Transcript, contributory},
};
use crate::{
    certificate::{CERTIFICATE_BYTES, KeyRole, SignedCertificate},
    hash::Context,
    ids::Millis,
    keys::{PublicKey, SecretKey, Signature},
    record::{MESSAGE_BYTES_MAX, Opener, Sealer, TAG_BYTES},
};

/// Which service root key a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This one and no other.
    Pinned(PublicKey),
    /// Any. The caller pins [`ClientSession::root`] for all later connections, and tells the user.
    FirstUse,
}

/// A client that sent M1 and waits for M2.
pub struct ClientHandshake {
    trust: Trust,
    identity: SecretKey,
    ephemeral: EphemeralSecret,
    transcript: Transcript,
}

impl ClientHandshake {
    /// Starts a handshake with the server at `authority`, host and port as they were dialled, and returns M1.
    ///
    /// Draws 32 bytes for the ephemeral key and then 32 for the nonce.
    pub fn start(
        authority: &str,
        trust: Trust,
        identity: &SecretKey,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> (Self, Vec<u8>) {
        let ephemeral = EphemeralSecret::random_from_rng(rng);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);

        let mut m1 = Vec::with_capacity(M1_BYTES);
        m1.extend_from_slice(&[1, VERSION, 0, 0, 0]);
        m1.extend_from_slice(&[1, SUITE, 0, 0, 0]);
        m1.extend_from_slice(x25519_dalek::PublicKey::from(&ephemeral).as_bytes());
        m1.extend_from_slice(&nonce);
        m1.resize(M1_BYTES, 0);

        let mut transcript = Transcript::new(authority);
        transcript.absorb(Label::M1, &[&m1]);
        (Self { trust, identity: identity.clone(), ephemeral, transcript }, m1)
    }

    /// Checks M2 and returns M3 with the client's end of the session. `now` is what the server's certificate
    /// is checked at.
    ///
    /// # Errors
    ///
    /// In the order of [`HandshakeError`]'s variants; the first that applies. Nothing about the identity key
    /// was revealed.
    pub fn receive(self, m2: &[u8], now: Millis) -> Result<(Vec<u8>, ClientSession), HandshakeError> {
        let Self { trust, identity, ephemeral, mut transcript } = self;
        let M2 { version, suite, ephemeral: server_ephemeral, clear, sealed, tag } =
            M2::parse(m2).ok_or_else(|| length_error(M2_BYTES, m2))?;
        if (version, suite) != (VERSION, SUITE) {
            return Err(HandshakeError::NotOffered { version, suite });
        }
        if server_ephemeral == x25519_dalek::PublicKey::from(&ephemeral).to_bytes() {
            return Err(HandshakeError::Reflected);
        }
        let shared = contributory(&ephemeral.diffie_hellman(&server_ephemeral.into()))
            .ok_or(HandshakeError::SmallOrder)?;

        let th = transcript.absorb(Label::M2Clear, &[clear]);
        let keys = HandshakeKeys::derive(&transcript, &shared);
        let mut opened = *sealed;
        keys.server.open(NONCE, th.as_bytes(), &mut opened, tag).ok_or(HandshakeError::Unauthentic)?;
        let Proof { root, certificate, signature, mac } = Proof::parse(&opened)?;

        match trust {
            Trust::Pinned(pinned) if pinned != root => {
                return Err(HandshakeError::RootNotPinned { pinned, got: root });
            }
            Trust::Pinned(_) | Trust::FirstUse => {}
        }
        let verified = certificate
            .verify(&root.enroll().map_err(HandshakeError::Root)?)
            .map_err(HandshakeError::Certificate)?;
        verified.check(KeyRole::Handshake, now).map_err(HandshakeError::Certificate)?;

        let th = transcript.absorb(
            Label::ServerCertificate,
            &[root.as_bytes(), &certificate.body, certificate.signature.as_bytes()],
        );
        verified
            .key()
            .verify(Context::ServerAuth, th, &signature)
            .map_err(|_| HandshakeError::BadSignature)?;
        let th = transcript.absorb(Label::ServerSignature, &[signature.as_bytes()]);
        if keys.server_finished.mac(th) != mac {
            return Err(HandshakeError::BadMac);
        }
        transcript.absorb(Label::ServerMac, &[&mac]);

        let m3 = seal_m3(&identity, &keys, &mut transcript);
        let SessionKeys { client, server, session } = SessionKeys::derive(&transcript, &shared);
        let sealer = Sealer::new(client);
        let opener = Opener::new(server, MESSAGE_BYTES_MAX);
        Ok((m3, ClientSession { sealer, opener, root, session }))
    }
}

fn seal_m3(identity: &SecretKey, keys: &HandshakeKeys, transcript: &mut Transcript) -> Vec<u8> {
    let associated_data = transcript.digest();
    let public = identity.public();
    let th = transcript.absorb(Label::ClientIdentity, &[public.as_bytes()]);
    let signature = identity.sign(Context::ClientAuth, th);
    let th = transcript.absorb(Label::ClientSignature, &[signature.as_bytes()]);
    let mac = keys.client_finished.mac(th);
    transcript.absorb(Label::ClientMac, &[mac.as_bytes()]);

    let mut m3 = [public.as_bytes().as_slice(), signature.as_bytes(), mac.as_bytes()].concat();
    let tag = keys.client.seal(NONCE, associated_data.as_bytes(), &mut m3);
    m3.extend_from_slice(&tag);
    m3
}

/// M2 as it stands on the wire.
struct M2<'a> {
    version: u8,
    suite: u8,
    ephemeral: [u8; 32],
    clear: &'a [u8],
    sealed: &'a [u8; SEALED_BYTES],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> M2<'a> {
    fn parse(m2: &'a [u8]) -> Option<Self> {
        let (clear, rest) = m2.split_first_chunk::<M2_CLEAR_BYTES>()?;
        let (sealed, tag) = rest.split_first_chunk()?;
        let [version, suite, rest @ ..] = clear;
        let (ephemeral, _nonce) = rest.split_first_chunk()?;
        let tag = tag.try_into().ok()?;
        Some(Self { version: *version, suite: *suite, ephemeral: *ephemeral, clear, sealed, tag })
    }
}

/// What M2 seals.
struct Proof {
    root: PublicKey,
    certificate: SignedCertificate,
    signature: Signature,
    mac: [u8; 32],
}

impl Proof {
    fn parse(opened: &[u8; SEALED_BYTES]) -> Result<Self, HandshakeError> {
        const BODY_AT: usize = 32 + 2;
        const BODY_END: usize = BODY_AT + CERTIFICATE_BYTES as usize;
        let length = u16::from_le_bytes(array(opened, 32));
        if length != CERTIFICATE_BYTES {
            return Err(HandshakeError::CertificateLength { got: length });
        }
        Ok(Self {
            root: PublicKey::new(array(opened, 0)),
            certificate: SignedCertificate {
                body: opened[BODY_AT..BODY_END].to_vec(),
                signature: Signature::new(array(opened, BODY_END)),
            },
            signature: Signature::new(array(opened, BODY_END + 64)),
            mac: array(opened, BODY_END + 128),
        })
    }
}

fn array<const N: usize>(bytes: &[u8; SEALED_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("every field of M2 ends before SEALED_BYTES")
}

const SEALED_BYTES: usize = M2_BYTES - M2_CLEAR_BYTES - TAG_BYTES;
