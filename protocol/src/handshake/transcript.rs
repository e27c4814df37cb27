use x25519_dalek::SharedSecret;

use crate::{
    hash::{Context, Digest, hash},
    record::Secret,
};

/// What is absorbed, in the order in which it is.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Label {
    Protocol = 0,
    Authority = 1,
    M1 = 2,
    M2Clear = 3,
    ServerCertificate = 4,
    ServerSignature = 5,
    ServerMac = 6,
    ClientIdentity = 7,
    ClientSignature = 8,
    ClientMac = 9,
}

/// Hash of everything that was said so far, in order.
#[derive(Clone, Debug)]
pub(super) struct Transcript(Digest);

impl Transcript {
    /// The prologue: the protocol, and whom the client means to talk to.
    pub(super) fn new(authority: &str) -> Self {
        let mut transcript = Self(Digest::ZERO);
        transcript.absorb(Label::Protocol, &[b"cadastre.v1"]);
        transcript.absorb(Label::Authority, &[authority.as_bytes()]);
        transcript
    }

    /// Absorbs one item, the concatenation of `pieces`, and returns the hash after it.
    pub(super) fn absorb(&mut self, label: Label, pieces: &[&[u8]]) -> Digest {
        let bytes = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let bytes = u32::try_from(bytes).expect("no message and no authority is near 4 GiB");
        let head = [self.0.as_bytes().as_slice(), &[label as u8], &bytes.to_le_bytes()].concat();
        self.0 = hash(Context::Transcript, &[&[head.as_slice()], pieces].concat());
        self.0
    }

    pub(super) const fn digest(&self) -> Digest {
        self.0
    }

    /// A key from the shared secret and everything said so far.
    pub(super) fn key(&self, context: Context, shared: &Secret) -> Secret {
        Secret::derive(context, &[shared.as_bytes(), self.0.as_bytes()])
    }
}

/// The keys of M2 and M3.
#[derive(Debug)]
pub(super) struct HandshakeKeys {
    pub(super) server: Secret,
    pub(super) client: Secret,
    pub(super) server_finished: Secret,
    pub(super) client_finished: Secret,
}

impl HandshakeKeys {
    pub(super) fn derive(transcript: &Transcript, shared: &Secret) -> Self {
        Self {
            server: transcript.key(Context::ServerHandshakeKey, shared),
            client: transcript.key(Context::ClientHandshakeKey, shared),
            server_finished: transcript.key(Context::ServerFinishedKey, shared),
            client_finished: transcript.key(Context::ClientFinishedKey, shared),
        }
    }
}

/// What a finished handshake leaves.
pub(super) struct SessionKeys {
    pub(super) client: Secret,
    pub(super) server: Secret,
    pub(super) session: Digest,
}

impl SessionKeys {
    pub(super) fn derive(transcript: &Transcript, shared: &Secret) -> Self {
        let master = transcript.key(Context::Master, shared);
        Self {
            client: Secret::derive(Context::ClientTraffic, &[master.as_bytes()]),
            server: Secret::derive(Context::ServerTraffic, &[master.as_bytes()]),
            session: Digest::new(*Secret::derive(Context::Exporter, &[master.as_bytes()]).as_bytes()),
        }
    }
}

/// `None` when the other end's key has small order, which leaves nothing secret.
pub(super) fn contributory(shared: &SharedSecret) -> Option<Secret> {
    shared.was_contributory().then(|| Secret::copy_of(shared.as_bytes()))
}
